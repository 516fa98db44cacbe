"""Write docs/commands.md: every command, with what it says of itself.

.venv/bin/python scripts/commands_page.py
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from bn_ablate.cli.main import COMMANDS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

HEAD = """# Commands

In the order in which one comes to need them; `bn-ablate COMMAND --help` lists the arguments of each. After `make` the
program is `.venv/bin/bn-ablate`. A bad study or command ends with exit status 2, what goes wrong with 1. This page is
made by `scripts/commands_page.py`.

To complete commands in a shell, bash or with `zsh` and its place:

    bn-ablate --tyro-write-completion bash ~/.local/share/bash-completion/completions/bn-ablate
"""


def page() -> str:
    """The page's text."""
    parts = [HEAD]
    for name, command in COMMANDS.items():
        parts += [f"## bn-ablate {name}\n", f"{inspect.getdoc(command)}\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
