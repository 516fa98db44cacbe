"""`python -m bn_ablate.cli`: the command line, where its script is not on the path."""

import sys

from bn_ablate.cli.main import main

sys.exit(main())
