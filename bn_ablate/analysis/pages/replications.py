"""What was published beside what was measured here, as a table of texts and as Markdown."""

from __future__ import annotations

import math
from typing import Any

from bn_ablate.analysis.judge.selection import axis_label, level_label
from bn_ablate.config.quantity import MINUS, Unit, quantity

HEADS = ("row", "published", "ours, 95% interval", "seeds", "SD of seeds", "deviation", "verdict")


def lines(said: dict[str, Any]) -> list[list[str]]:
    """A line of texts for each row, under `HEADS`."""
    return [_line(row) for row in said["rows"]]


def markdown(said: dict[str, Any], heading: str = "") -> str:
    """The table, the reason of each verdict, and the differences of protocol one by one."""
    table = [HEADS, ["---"] * len(HEADS), *lines(said)]
    parts = [heading or f"# {said['study']} and what was published", f"Published: {said['source']}."]
    parts.append("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in table))
    parts.append("\n".join(f"- {row['id']}: {row['verdict']}, {row['reason']}" for row in said["rows"]))
    differences = [f"- {of}" for of in said["differences"]]
    differences += [f"- {row['id']}: {of}" for row in said["rows"] for of in row["differences"]]
    if differences:
        parts += ["Differences of protocol:", "\n".join(differences)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _line(row: dict[str, Any]) -> list[str]:
    unit = quantity(row["metric"]).unit
    digits = _digits(row, unit)
    signed = row["minus"] is not None
    shown = unit.of_differences if signed else unit.shown
    ours = f"{unit.value(row['estimate'], signed, digits)}"
    if row["interval"]:
        ours += " [{}, {}]".format(*(unit.value(end, signed, digits) for end in row["interval"]))
    return [
        f"{row['id']}: {_cell(row)}",
        _published(row, unit, shown),
        f"{ours} {shown}".strip(),
        str(row["n_seeds"]),
        f"{unit.value(row['sd_of_seeds'], False, digits)}",
        _deviation(row),
        f"{row['verdict']}",
    ]


def _cell(row: dict[str, Any]) -> str:
    named = [f"{axis_label(axis)} {level_label(level)}" for axis, level in row["cell"].items()]
    minus = row["minus"] or {}
    other = [f"{axis_label(axis)} {level_label(minus[axis])}" for axis in minus if minus[axis] != row["cell"].get(axis)]
    less = f" {MINUS} {', '.join(other)}" if other else ""
    return f"{quantity(row['metric']).label}, {', '.join(named)}{less}"


def _published(row: dict[str, Any], unit: Unit, shown: str) -> str:
    """With the digits that were published."""
    if row["direction"]:
        return f"{row['direction']} than 0"
    last = row["unit"] * unit.scale
    digits = max(0, -math.floor(math.log10(last) + 1e-9)) if last > 0 else _digits(row, unit)
    values = ", ".join(unit.value(value, row["minus"] is not None, digits) for value in row["values"])
    return f"{values} {shown}".strip()


def _deviation(row: dict[str, Any]) -> str:
    if row["deviation"] is None or row["verdict"] == "not comparable":
        return "–"
    whose = {"published": "", "published runs": "", "our seeds": " (of our seeds)"}[row["sd_of"]]
    return f"{row['deviation']:+.1f} SD{whose}".replace("-", MINUS)


def _digits(row: dict[str, Any], unit: Unit) -> int | None:
    """One more than the usual digits of a number that was published: what is compared is small."""
    return unit.digits + (1 if row["values"] and unit.shown == "%" else 0)
