"""How the numbers of a record of `claims.json` are shown to people: their unit, sign, and what lies off an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from bn_ablate.analysis.judge.metrics import Metric
from bn_ablate.analysis.judge.metrics import metric as describe

_MOST_DIGITS = 8
_STEPS = {"linear": "{axis}", "log10": "decades of {axis}", "rank": "levels of {axis}"}
_PER_STEP = {"linear": "per unit of {axis}", "log10": "per decade of {axis}", "rank": "per level of {axis}"}


class Shown(NamedTuple):
    """An estimate and its interval as text, without their unit, and the unit."""

    estimate: str
    low: str
    high: str
    unit: str


def scale_of(record: Mapping[str, Any]) -> Metric:
    """How to show what the record estimates: a difference of a metric, a slope of it, or a place on an axis."""
    kind, axis = record.get("kind"), str(record.get("axis", "")).replace("_", " ")
    if kind == "equivalent_level":
        return Metric(axis, axis, shown=axis)
    if kind == "optimum_shift":
        unit = _STEPS[record["scale"]].format(axis=axis)
        return Metric(axis, unit, shown=unit)
    metric = describe(record["metric"])
    if kind == "slope":
        per = _PER_STEP[record["scale"]].format(axis=axis)
        return metric._replace(unit=f"{metric.unit} {per}", shown=f"{metric.unit_of_differences} {per}".strip())
    return metric._replace(shown=metric.unit_of_differences)


def value_text(record: Mapping[str, Any], value: float | None) -> str:
    """`value` in the record's scale, without its unit."""
    return scale_of(record).value(value, sign=_signed(record))


def texts(record: Mapping[str, Any]) -> Shown:
    """The record's estimate and interval as people read them.

    All have the same digits after the point: the metric's usual ones, or as many as show two significant digits of half
    the interval's width. A level beyond those looked at is `> 0.5` or `< 0`, the last level.
    """
    scale, off = scale_of(record), record.get("off_axis") or {}
    low, high = record.get("interval") or (None, None)
    digits = _digits(scale, low, high)

    def text(name: str, value: float | None) -> str:
        if name in off:
            return f"{off[name]} {value:g}"
        return scale.value(value, _signed(record), digits)

    return Shown(text("estimate", record.get("estimate")), text("low", low), text("high", high), scale.shown)


def interval_text(shown: Shown) -> str:
    """The interval in brackets; a dash where there is none."""
    return "–" if shown.low == "–" else f"[{shown.low}, {shown.high}]"


def _signed(record: Mapping[str, Any]) -> bool:
    return record.get("kind") != "equivalent_level"


def _digits(scale: Metric, low: float | None, high: float | None) -> int | None:
    """Digits after the point for an interval; the metric's usual way of writing where it has no width."""
    if low is None or high is None or not 0 < (half := (high - low) * scale.scale / 2) < math.inf:
        return None
    return min(max(scale.digits, 1 - math.floor(math.log10(half))), _MOST_DIGITS)


def estimate_text(record: Mapping[str, Any]) -> str:
    """The estimate with its unit."""
    shown = texts(record)
    return f"{shown.estimate} {shown.unit}".strip()
