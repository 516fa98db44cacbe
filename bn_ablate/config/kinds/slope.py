"""The slope of a metric over the levels of an axis."""

from __future__ import annotations

from typing import Literal

from bn_ablate.config.hypotheses import AlongAxis, Alternative, Cells, Margin
from bn_ablate.config.metrics import Metric


class Slope(AlongAxis):
    """The slope of `metric` over `axis` in the cells of `a`, minus that in the cells of `b` where given."""

    kind: Literal["slope"]
    metric: Metric
    a: Cells
    b: Cells | None = None
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0
