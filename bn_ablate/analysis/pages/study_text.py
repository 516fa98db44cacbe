"""A study as the TOML file that would say it: what differs from the defaults, in the order of the schema."""

from __future__ import annotations

import json
import re
from typing import Any

from bn_ablate.config.schema import Study
from bn_ablate.config.shipped import shipped

BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDEST = 100
"""A list that is wider has an item a line."""


def run_command(study: Study) -> str:
    """The command that runs it: by its name where it came with the package, else by a file that is called as it is."""
    return f"bn-ablate run {study.name if study.name in shipped() else f'{study.name}.toml'}"


def study_toml(study: Study) -> str:
    """The study as TOML, which makes the same study again; what no TOML can say, as the level null, is left out."""
    said = json.loads(study.model_dump_json(exclude_defaults=True, exclude={"extensions"}))
    if study.extensions:
        said = {"extensions": [extension.file for extension in study.extensions], **said}
    return "\n".join(_table(said, ())).strip() + "\n"


def _table(table: dict[str, Any], path: tuple[str, ...]) -> list[str]:
    """The lines of a table: its own keys first, then its tables, and lists of tables."""
    tables = {key: value for key, value in table.items() if isinstance(value, dict) and value and len(path) < 2}
    lists = {key: value for key, value in table.items() if not path and _of_tables(value)}
    plain = {key: value for key, value in table.items() if key not in tables | lists and value is not None}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, inner in tables.items():
        below = (*path, _key(key))
        lines += ["", *([f"[{'.'.join(below)}]"] if _has_plain(inner) else []), *_table(inner, below)]
    for key, rows in lists.items():
        for row in rows:
            lines += ["", f"[[{_key(key)}]]", *_table(row, (key, ""))]
    return lines


def _has_plain(table: dict[str, Any]) -> bool:
    return any(not isinstance(value, dict) for value in table.values()) or not table


def _of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        items = [_value(item) for item in value if item is not None]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= WIDEST else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return json.dumps(value, ensure_ascii=False)
