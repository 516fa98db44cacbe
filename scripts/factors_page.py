"""Write docs/factors.md: every factor, from its declaration.

.venv/bin/python scripts/factors_page.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bn_ablate.config.factors import FACTORS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "factors.md"

HEAD = """# Factors

A factor is a setting that may be an axis of a study. Each is declared once, at its key in
`bn_ablate/config/network_keys.py` or `training_keys.py` beside it; this page is made from the declarations by
`scripts/factors_page.py`. All levels of a traced factor share one compiled program; a static one costs a program for
each level. Where a factor does not act, it counts as its default: the settings are the same network, which is trained
once and shown in each of its cells.
"""


def page() -> str:
    """The page's text."""
    parts = [HEAD]
    for title, traced in (("Traced: one program for all levels", True), ("Static: a program for each level", False)):
        parts += [f"## {title}\n", "| axis | key | what it is | default | acts |\n|---|---|---|---|---|"]
        for name, factor in FACTORS.items():
            if factor.traced == traced:
                default = "–" if factor.default is None else f"`{json.dumps(factor.default)}`"
                description = factor.description.replace("|", "\\|")
                parts.append(f"| `{name}` | `{factor.path}` | {description} | {default} | {factor.acts.words} |")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
