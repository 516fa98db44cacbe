"""A difference of two differences."""

from __future__ import annotations

from typing import Literal

from bn_ablate.config.hypotheses import Alternative, Cells, Hypothesis, Margin
from bn_ablate.config.metrics import Metric


class Interaction(Hypothesis):
    """The difference of two differences, `(a - b) - (c - d)`, paired by seed; `alternative` as in a contrast."""

    kind: Literal["interaction"]
    metric: Metric
    a: Cells
    b: Cells
    c: Cells
    d: Cells
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0
