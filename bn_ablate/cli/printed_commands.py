"""How this command line was started, so that the commands that it prints run as they are pasted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

NAME = "bn-ablate"
COMMAND = re.compile(rf"(?<![\w./-]){NAME}(?= [a-z][a-z-]*(?![\w:-]))")
"""The program's name before that of a command; not where a sentence begins with both, `bn-ablate claims: needs …`."""


def runnable(text: str) -> str:
    """`text`, in which the commands of this program begin as whoever reads it can start it."""
    return COMMAND.sub(lambda _: program(sys.argv[0], os.environ.get("PATH")), text)


@cache
def program(started: str, path: str | None) -> str:
    """How a shell with this PATH starts the program that was `started` by that path or module."""
    on_path, file = shutil.which(NAME, path=path), Path(started)
    if file.name == NAME:
        return NAME if on_path and file.exists() and file.samefile(on_path) else shlex.quote(started)
    if on_path or file.parts[-2:] != ("cli", "__main__.py"):
        return NAME
    return f"{shlex.quote(sys.executable)} -m bn_ablate.cli"
