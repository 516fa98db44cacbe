"""`python -m bn_ablate.cli`: the command line, where its script is not on the path."""

from bn_ablate.cli.main import entry

entry()
