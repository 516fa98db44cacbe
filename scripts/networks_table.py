"""Write the table of networks in docs/conventions.md, from their descriptions.

.venv/bin/python scripts/networks_table.py
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from bn_ablate.config.architectures import NETWORKS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
EXAMPLE = (32, 32, 3), 5, 16
HEAD = "| `model.architecture` | layout | depth 5, width 16, images of 32×32 |\n|---|---|---|\n"


def page() -> str:
    """The page's text, its table as the descriptions have it."""
    rows = HEAD
    for name in NETWORKS.own:
        given = NETWORKS[name].given
        layout = " ".join((inspect.getdoc(given) or "").split()).removesuffix(".")
        rows += f"| `{name}` | {layout} | {given(*EXAMPLE).words} |\n"
    return re.sub(r"\| `model\.architecture` \|(.*\n)(\|.*\n)+", lambda _: rows, PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
