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

    def value(self, value: float | None, sign: bool = False, digits: int | None = None) -> str:
        """`value` as text without its unit; `sign` writes a plus as well; what is not there is an en dash.

        Numbers that their usual digits would hide are written with an exponent, unless `digits` after the point are
        asked for.
        """
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else f"{MINUS}∞"
        scaled = value * self.scale
        odd = digits is None and scaled != 0 and not 0.5 * 10.0**-self.digits <= abs(scaled) < 1e5
        text = f"{abs(scaled):.2e}" if odd else f"{abs(scaled):.{self.digits if digits is None else digits}f}"
        return (MINUS if scaled < 0 else "+" if sign and scaled > 0 else "") + text

    @property
    def unit_of_differences(self) -> str:
        """The unit of a difference as shown: percentage points where the values are in percent."""
        return "pp" if self.shown == "%" else self.shown

    def difference(self, value: float | None) -> str:
        """A difference of two values, signed, with its unit."""
        return f"{self.value(value, sign=True)} {self.unit_of_differences}".strip()


_Z = "the activation's input"
_OF_LAYERS = {
    "mean": Metric(f"mean of {_Z}", "value"),
    "std": Metric(f"standard deviation of {_Z}", "value", low=0.0),
    "within_3sigma": Metric("share within 3σ of the unit's mean", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "in_band": Metric("share of |z| ≤ 3", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "steepness": Metric("relative slope", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "saturated": Metric("saturated share", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "zero_share": Metric("share of zeros", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "dead": Metric("dead units on the probe", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "dead_train": Metric("dead units on the training set", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "inactive_train": Metric("inactive share on the training set", "fraction", 100.0, "%", 1, 0.0, 1.0),
}
"""Measures by layer, which a lane has as a mean over layers and for the first layer, at the end and at the start."""

_METRICS = {
    "best_step": Metric("best step", "steps", shown="steps", digits=0, low=0.0),
    "steps_to_loss": Metric("steps to the loss threshold", "steps", shown="steps", digits=0, low=0.0),
    "reached_loss": Metric("share that reached the loss threshold", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "trained": Metric("share that trained", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "gap": Metric("generalization gap (test − train loss)", "nats", shown="nats"),
    "recalibrated_gap": Metric("generalization gap, recalibrated statistics", "nats", shown="nats"),
    "accuracy_gap": Metric("accuracy gap (train − test)", "fraction", 100.0, "%", 2),
    "underfitting": Metric("underfitting (train loss above that at dropout 0)", "nats", shown="nats"),
    "recalibrated_underfitting": Metric("underfitting, recalibrated statistics", "nats", shown="nats"),
    "recovered_train_loss": Metric("train loss recovered by recalibration", "nats", shown="nats"),
    "recovered_test_loss": Metric("test loss recovered by recalibration", "nats", shown="nats"),
    "gradient_ratio": Metric("first-to-last gradient ratio", "ratio", low=0.0),
    "gradient_ratio_start": Metric("first-to-last gradient ratio at the start", "ratio", low=0.0),
    "gradient_slope": Metric("slope of the gradient over depth", "decades per layer"),
    "gradient_slope_start": Metric("slope of the gradient over depth at the start", "decades per layer"),
    "variance_shift": Metric("variance shift", "ratio", low=1.0),
    "variance_shift_max": Metric("variance shift of the worst layer", "ratio", low=1.0),
    "variance_ratio": Metric("real-to-moving variance", "ratio", low=0.0),
    **{
        f"{parameter}_{what}": Metric(f"{words} of {parameter}", "value", low=0.0 if what == "std" else -math.inf)
        for parameter in ("gamma", "beta")
        for what, words in {"mean": "mean", "std": "standard deviation", "min": "least", "max": "greatest"}.items()
    },
    "beta_negative": Metric("share of negative beta", "fraction", 100.0, "%", 1, 0.0, 1.0),
    "beta_over_gamma": Metric("median of beta / |gamma|", "ratio"),
    "loss_range": Metric("range of the loss along the gradient", "nats", shown="nats", low=0.0),
    "gradient_change": Metric("change of the gradient along itself", "gradient norm", low=0.0),
    "smoothness": Metric("effective β-smoothness", "gradient per parameter", low=0.0),
    "unit_drift": Metric("drift of a last-layer unit between measurements", "value", low=0.0),
    **_OF_LAYERS,
    **{f"{name}_start": of._replace(label=f"{of.label} at the start") for name, of in _OF_LAYERS.items()},
    **{f"first_{name}": of._replace(label=f"{of.label}, first layer") for name, of in _OF_LAYERS.items()},
    **{
        f"first_{name}_start": of._replace(label=f"{of.label}, first layer at the start")
        for name, of in _OF_LAYERS.items()
    },
}


def metric(name: str) -> Metric:
    """The description of the metric `name`, one of `bn_ablate.config.names.METRICS`."""
    if name in _METRICS:
        return _METRICS[name]
    words = name.replace("_", " ").replace("recalibrated", "recalibrated:").replace("batch", "batch statistics:")
    if name.endswith("accuracy"):
        return Metric(words, "fraction", 100.0, "%", 2, 0.0, 1.0)
    return Metric(words, "nats", shown="nats", low=0.0)


def p_text(p: float | None) -> str:
    """A p value as text: three decimals, or below .001."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
