"""Builds the documentation site in build/docs, in an environment of its own; any warning is an error.

    make docs
    make docs ARGS=serve    shows it while it is written, at the address that is printed

The environment is .venv-docs, of requirements/docs.txt: the pages are made of the sources, which nothing here imports.
"""

from __future__ import annotations

import os
import subprocess
import sys

from setup import ROOT, Environment, SetupError, choose_python


def main() -> int:
    """Make the environment, then the site; returns the exit status."""
    environment = Environment(ROOT / ".venv-docs", "docs", choose_python("cpu", alone=False), with_project=False)
    try:
        environment.make()
    except SetupError as error:
        print(f"docs: {error}", file=sys.stderr)
        return 1
    command = (environment.executable, "-m", "mkdocs", *(sys.argv[1:] or ("build", "--strict", "--quiet")))
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    status = subprocess.run(command, check=False, cwd=ROOT, env=quiet, stdin=subprocess.DEVNULL).returncode
    if not status and len(sys.argv) == 1:
        print(f"docs: {ROOT / 'build' / 'docs' / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
