"""How far apart the best levels of two sets of cells lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from bn_ablate.config.errors import Problem
from bn_ablate.config.hypotheses import AlongAxis, Alternative, Cells, Levels
from bn_ablate.config.metrics import SelectingMetric


class OptimumShift(AlongAxis):
    """The level of `axis` that is best by `metric` for `a`, minus that for `b`, which have the same levels of it.

    `greater`: it lies above zero; `less`: below; `two-sided`: it is not zero. Levels are compared as they are, by their
    logarithm, or by their rank (`scale`).
    """

    kind: Literal["optimum_shift"]
    metric: SelectingMetric
    a: Cells
    b: Cells
    alternative: Alternative = "two-sided"

    def check_cells(self, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
        """The best levels can be compared where both sides could have them."""
        of_a, of_b = ({cell[self.axis] for cell in cells} for cells in sides.values())
        if of_a != of_b:
            yield Problem(
                self.where, f"has other levels of {self.axis!r} in a than in b: the best ones cannot be compared"
            )
