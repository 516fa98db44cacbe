"""Hypotheses as they were written: the rows that `each` made of one, under what they state in common."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NamedTuple

from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS, axis_label, level_label
from bn_ablate.config.architectures import title_of
from bn_ablate.config.factors import FACTORS

_WHOLE = {
    "standardize": {"channel": "standardized inputs", "none": "raw inputs"},
    "placement": PLACEMENT_LABELS,
    "optimizer": {"sgd": "SGD", "adam": "Adam"},
}
"""Levels that say what they are of without their axis."""


class Group(NamedTuple):
    """What some hypotheses state in common, their records, and what tells each of them apart (nothing, if alone)."""

    statement: str
    records: list[dict[str, Any]]
    names: list[str]


def groups(records: list[dict[str, Any]]) -> list[Group]:
    """Records of `claims.json`, in their order, by the hypothesis that they were written as."""
    return [_group(list(rows)) for _, rows in groupby(records, key=lambda record: record["id"].split(".")[0])]


def _group(rows: list[dict[str, Any]]) -> Group:
    if "." not in rows[0]["id"]:
        return Group(rows[0]["statement"], rows, [""])
    parts = [record["statement"].removesuffix(")").rpartition(" (") for record in rows]
    return Group(parts[0][0], rows, [", ".join(map(spoken, levels.split(", "))) for _, _, levels in parts])


def spoken(words: str) -> str:
    """An axis and its level, as in `activation hard_tanh`, as people say it."""
    axis = next((name for name in FACTORS if words.startswith(f"{name.replace('_', ' ')} ")), None)
    if axis is None:
        return words
    level = words.removeprefix(f"{axis.replace('_', ' ')} ")
    if axis == "activation":
        return level_label(level)
    if axis == "architecture":
        return title_of(level)
    return _WHOLE.get(axis, {}).get(level) or f"{axis_label(axis)} {_number(level)}"


def _number(level: str) -> str:
    try:
        return level_label(float(level))
    except ValueError:
        return level_label(level)
