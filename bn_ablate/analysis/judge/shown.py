"""How the numbers of a record of `claims.json` are shown to people: their unit, sign, and what lies off an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.stats import ALPHA
from bn_ablate.config.quantity import Unit

SIGNS_OF_VERDICTS = {"supported": "✓", "contradicted": "✕", "equivalent": "≈", "inconclusive": "?"}
"""What stands for each verdict in figures and pages."""

_MOST_DIGITS = 8


class Shown(NamedTuple):
    """An estimate and its interval as text, without their unit, and the unit."""

    estimate: str
    low: str
    high: str
    unit: str


def scale_of(record: Mapping[str, Any]) -> Unit:
    """How to show what the record estimates: a difference of a metric, a slope of it, or a place on an axis."""
    return kind_of(record).scale(record)


def texts(record: Mapping[str, Any]) -> Shown:
    """The record's estimate and interval as people read them.

    All have the same digits after the point: the metric's usual ones, or as many as show two significant digits of half
    the interval's width. A level beyond those looked at is `> 0.5` or `< 0`, the last level.
    """
    scale, signed, off = scale_of(record), kind_of(record).signed, record.get("off_axis") or {}
    low, high = record.get("interval") or (None, None)
    digits = _digits(scale, low, high)

    def text(name: str, value: float | None) -> str:
        if name in off:
            return f"{off[name]} {value:g}"
        return scale.value(value, signed, digits)

    return Shown(text("estimate", record.get("estimate")), text("low", low), text("high", high), scale.shown)


def interval_text(shown: Shown) -> str:
    """The interval in brackets; a dash where there is none."""
    return "–" if shown.low == "–" else f"[{shown.low}, {shown.high}]"


def _digits(scale: Unit, low: float | None, high: float | None) -> int | None:
    """Digits after the point for an interval; the metric's usual way of writing where it has no width."""
    if low is None or high is None or not 0 < (half := (high - low) * scale.scale / 2) < math.inf:
        return None
    return min(max(scale.digits, 1 - math.floor(math.log10(half))), _MOST_DIGITS)


def estimate_text(record: Mapping[str, Any]) -> str:
    """The estimate with its unit."""
    shown = texts(record)
    return f"{shown.estimate} {shown.unit}".strip()


def p_text(p: float | None) -> str:
    """A p value as text: three decimals, or below .001."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


_STOPPED = {
    "decided": "decided",
    "futile": "more seeds would hardly have decided it",
    "most": "the last look",
    None: "the next look has not been taken",
}


def stop_text(record: Mapping[str, Any]) -> str:
    """At which look a hypothesis stopped, with how many seeds, and why; nothing where the number of seeds is fixed."""
    if "look" not in record:
        return ""
    number, looks = record["look"], record["looks"]
    at = f"{number} of {len(looks)}, at {looks[number - 1]:,} seeds"
    return f"{at}: {_STOPPED[record['stopped']]}; {record['error_spent']:.4g} of the error of {ALPHA:g} spent"
