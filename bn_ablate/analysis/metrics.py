"""How each metric is named, in which unit it is stored, and how people are shown it."""

from __future__ import annotations

import math
from typing import NamedTuple

MINUS = "\N{MINUS SIGN}"


class Metric(NamedTuple):
    """A metric's label, its unit as stored, how to show it (`value * scale`, in `shown`), and what it can be."""

    label: str
    unit: str
    scale: float = 1.0
    shown: str = ""
    digits: int = 3
    low: float = -math.inf
    high: float = math.inf

    def value(self, value: float | None, sign: bool = False) -> str:
        """`value` as text without its unit; `sign` writes a plus as well; what is not there is an en dash."""
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else f"{MINUS}∞"
        scaled = value * self.scale
        small = scaled != 0 and not 0.5 * 10.0**-self.digits <= abs(scaled) < 1e5
        text = f"{abs(scaled):.2e}" if small else f"{abs(scaled):.{self.digits}f}"
        return (MINUS if scaled < 0 else "+" if sign and scaled > 0 else "") + text

    @property
    def unit_of_differences(self) -> str:
        """The unit of a difference as shown: percentage points where the values are in percent."""
        return "pp" if self.shown == "%" else self.shown

    def difference(self, value: float | None) -> str:
        """A difference of two values, signed, with its unit."""
        return f"{self.value(value, sign=True)} {self.unit_of_differences}".strip()


_SHARES = {
    "saturated": "saturated share",
    "in_band": "share of |z| ≤ 3",
    "zero_share": "share of zeros",
}


def metric(name: str) -> Metric:
    """The description of the metric `name`, one of `bn_ablate.config.names.METRICS`."""
    words = name.replace("_", " ")
    if name in _SHARES:
        return Metric(_SHARES[name], "fraction", 100.0, "%", 1, 0.0, 1.0)
    if name.endswith("accuracy"):
        return Metric(words, "fraction", 100.0, "%", 2, 0.0, 1.0)
    if name == "accuracy_gap":
        return Metric("accuracy gap (train − test)", "fraction", 100.0, "%", 2)
    if name == "gradient_ratio":
        return Metric("first-to-last gradient ratio", "ratio", low=0.0)
    if name == "gap":
        return Metric("generalization gap (test − train loss)", "nats", shown="nats")
    if name == "underfitting":
        return Metric("underfitting (train loss above that at dropout 0)", "nats", shown="nats")
    return Metric(words, "nats", shown="nats", low=0.0)


def p_text(p: float | None) -> str:
    """A p value as text: three decimals, or below .001."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
