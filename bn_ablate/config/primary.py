"""A study cut down to its primary hypotheses, and to the levels that they need: `hypotheses = "primary"`."""

from __future__ import annotations

import itertools
from typing import Any

from bn_ablate.config.hypotheses import levels_in

PRIMARY = "primary"
"""What a study says in the place of hypotheses to keep the primary ones of what it includes."""


def primary_alone(table: dict[str, Any]) -> dict[str, Any]:
    """`table`, a study as TOML has it, with its primary hypotheses alone and the levels of the cells they are about.

    Levels and exclusions of which nothing is left go. What cannot be read as a study stays as it is, to be refused
    where studies are checked.
    """
    asked = [said for said in _tables(table.get("hypotheses")) if said.get("primary") is True]
    axes, rules = table.get("axes", {}), list(_tables(table.get("exclude", ())))
    if not isinstance(axes, dict) or not all(isinstance(levels, list) for levels in axes.values()):
        return table | {"hypotheses": asked}
    cells = [dict(zip(axes, levels, strict=True)) for levels in itertools.product(*axes.values())]
    cells = [cell for cell in cells if not any(_matches(cell, rule) for rule in rules)]
    sides = [said[side] for said in asked for side in "abcd" if isinstance(said.get(side), dict)]
    cells = [cell for cell in cells if any(_matches(cell, side) for side in sides)]
    left = {axis: [level for level in levels if any(cell[axis] is level for cell in cells)]
            for axis, levels in axes.items()}  # fmt: skip
    narrowed = [{axis: list(levels_in(rule, axis, tuple(left.get(axis, ())))) for axis in rule} for rule in rules]
    exclude = [rule for rule in narrowed if all(rule.values())]
    return table | {"hypotheses": asked, "axes": left, "exclude": exclude}


def _tables(given: Any) -> list[dict[str, Any]]:
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list | tuple) else []


def _matches(cell: dict[str, Any], rule: dict[str, Any]) -> bool:
    return all(axis in cell and bool(levels_in(rule, axis, (cell[axis],))) for axis in rule)
