"""How the numbers of a record of `claims.json` are shown to people: their unit, sign, and what lies off an axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bn_ablate.analysis.metrics import Metric
from bn_ablate.analysis.metrics import metric as describe

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


def value_text(record: Mapping[str, Any], value: float | None, off: str | None = None) -> str:
    """`value` in the record's scale, without its unit; `off` is `>` or `<` for a level beyond those looked at."""
    text = scale_of(record).value(value, sign=record.get("kind") != "equivalent_level")
    return f"{off} {text}" if off else text


def texts(record: Mapping[str, Any]) -> Shown:
    """The record's estimate and interval as people read them."""
    off = record.get("off_axis") or {}
    low, high = record.get("interval") or (None, None)
    estimate = record.get("estimate")
    return Shown(
        value_text(record, estimate, off.get("estimate")),
        value_text(record, low, off.get("low")),
        value_text(record, high, off.get("high")),
        scale_of(record).shown,
    )


def estimate_text(record: Mapping[str, Any]) -> str:
    """The estimate with its unit."""
    shown = texts(record)
    return f"{shown.estimate} {shown.unit}".strip()
