"""Write docs/keys.md: every key of a study, from the schema.

.venv/bin/python scripts/keys_page.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from bn_ablate.config.claims import Claim
from bn_ablate.config.hypotheses import Select
from bn_ablate.config.kinds import KINDS
from bn_ablate.config.looks import Looks
from bn_ablate.config.schema import Study

PAGE = Path(__file__).resolve().parent.parent / "docs" / "keys.md"

HEAD = """# Keys of a study

Everything that a TOML file of a study may say, with what it may be and what it is where it is left out; made from the
schema by `scripts/keys_page.py`. A key that is not here is refused, with the nearest that is. [Factors](factors.md)
says which keys may be axes and when each acts, [Measurements](measurements.md) of which metrics hypotheses may be, and
[Statistics](statistics.md) how each kind of hypothesis is judged. Names may be those of
[parts of your own](extensions.md) as well. A study may `include` other files: what it says itself comes before theirs.
"""
TABLE = "| key | what it may be | default | what it is |\n|---|---|---|---|"
BOUNDS = {"minimum": "≥", "ge": "≥", "exclusiveMinimum": ">", "gt": ">"}
BOUNDS |= {"maximum": "≤", "le": "≤", "exclusiveMaximum": "<", "lt": "<"}
LARGE = 2**31 - 1
"""A bound that stands for the largest number that fits."""


def page() -> str:
    """The page's text."""
    own = [name for name, field in Study.model_fields.items() if not _is_section(field.annotation)]
    own = [name for name in own if name not in ("hypotheses", "claims")]
    parts = [HEAD, "## The study itself\n", _table(Study, own), "", "### `seeds` until decided\n", _table(Looks), ""]
    for name, field in Study.model_fields.items():
        if _is_section(field.annotation):
            parts += [f"## `[{name}]`\n", _table(field.annotation), ""]
    parts += ["## `[[hypotheses]]`\n", "Keys of every kind, and then those of each.\n"]
    shared = [
        name
        for name in next(iter(KINDS.values())).model_fields
        if all(name in of.model_fields for of in KINDS.values())
    ]
    parts += [_table(next(iter(KINDS.values())), [name for name in shared if name != "kind"]), ""]
    for name, kind in KINDS.items():
        said = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        parts += [f'### `kind = "{name}"`\n', f"{said}\n"]
        parts += [_table(kind, [key for key in kind.model_fields if key not in shared]), ""]
    parts += ["### `select`\n", _table(Select), "", "## `[claims.NAME]`\n", _table(Claim), ""]
    return "\n".join(parts)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _table(of: Any, only: list[str] | None = None) -> str:
    schema = of.model_json_schema()
    rows = [TABLE]
    for name, says in schema["properties"].items():
        if only is None or name in only:
            default = "" if name in schema.get("required", ()) else _default(says.get("default"))
            rows.append(f"| `{name}` | {_allowed(says)} | {default} | {_cell(says.get('description', ''))} |")
    return "\n".join(rows)


def _default(value: Any) -> str:
    return "–" if value in (None, "", [], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _allowed(says: dict[str, Any]) -> str:
    """What a value may be, in words."""
    if several := says.get("anyOf") or says.get("oneOf"):
        return " or ".join(_allowed(one) for one in several if one.get("type") != "null")
    if "enum" in says:
        return ", ".join(f"`{json.dumps(value)}`" for value in says["enum"])
    if "const" in says:
        return f"`{json.dumps(says['const'])}`"
    match says.get("type"):
        case "integer" | "number" as kind:
            return f"{'a whole number' if kind == 'integer' else 'a number'}{_bounds(says)}"
        case "boolean":
            return "`true` or `false`"
        case "array":
            items = says.get("items", {})
            return f"a list{f' of: {_allowed(items)}' if items else ''}"
        case "object":
            return "a table"
        case "string":
            return "text"
    return "a table" if "$ref" in says else "a name"


def _bounds(says: dict[str, Any]) -> str:
    bounds = [f"{sign} {says[key]:g}" for key, sign in BOUNDS.items() if key in says and abs(says[key]) < LARGE]
    return f" {' and '.join(bounds)}" if bounds else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
