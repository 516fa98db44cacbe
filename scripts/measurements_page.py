"""Write the tables of docs/measurements.md from the declarations of what is measured; the rest of the page stays.

.venv/bin/python scripts/measurements_page.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from bn_ablate.config.quantity import REQUESTS, TABLES, Quantity

PAGE = Path(__file__).resolve().parent.parent / "docs" / "measurements.md"


def page(text: str) -> str:
    """`text`, the page, with its tables as the declarations make them."""
    text = _with_table(text, "## When and on what", ["name", "taken", "costs"], REQUESTS.values())
    for table, columns in TABLES.items():
        text = _with_table(
            text, f"## `{table}.parquet`", ["column", "definition", "unit", "better", "null"], _rows(columns)
        )
    return text


def _rows(columns: dict[str, Quantity]) -> Iterable[tuple[str, ...]]:
    """The columns, those of one definition in one row."""
    alike: dict[tuple[str, str], list[Quantity]] = {}
    for column in columns.values():
        alike.setdefault((column.definition, column.nulls), []).append(column)
    for (definition, nulls), of in alike.items():
        cells = (
            [f"`{column.name}`" for column in of],
            [column.unit.name for column in of],
            [of_.better or "" for of_ in of],
        )
        names, units, better = (", ".join(dict.fromkeys(cell)) for cell in cells)
        yield names, definition, units, better, nulls


def _with_table(text: str, heading: str, head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """`text` with the table of these rows in the place of the one under `heading` that begins with the same word."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" if line[0] != "---" else f"|{'|'.join(line)}|" for line in lines)
    first = re.escape(f"| {head[0]} |") + "[^\n]*"
    pattern = rf"(?s)(^{re.escape(heading)}$.*?)^{first}$.*?(?=\n\n|\n?\Z)"
    found, n = re.subn(pattern, lambda match: match[1] + table, text, count=1, flags=re.MULTILINE)
    if not n:
        raise ValueError(f"no table with the columns {', '.join(head)} under {heading}")
    return found


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
