"""Two sets of cells that differ by less than a margin."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bn_ablate.config.hypotheses import Cells, Hypothesis
from bn_ablate.config.metrics import Metric


class Equivalence(Hypothesis):
    """The paired difference of `a` and `b` lies within `±margin` (two one-sided tests)."""

    kind: Literal["equivalence"]
    metric: Metric
    a: Cells
    b: Cells
    margin: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
