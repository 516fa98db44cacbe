"""The level of an axis that does as much as something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from bn_ablate.config.errors import Problem
from bn_ablate.config.hypotheses import AlongAxis, Alternative, Axes, Cells, listed
from bn_ablate.config.metrics import Metric


class EquivalentLevel(AlongAxis):
    """The level of `axis` at which `metric` of the cells of `b`, which span it, equals that of `a`.

    `greater`: it lies above `level`; `less`: below it; `two-sided`: it is another one.
    """

    kind: Literal["equivalent_level"]
    metric: Metric
    scale: Literal["linear", "log10"] = "linear"
    a: Cells
    b: Cells
    level: Annotated[float, Field(allow_inf_nan=False)]
    alternative: Alternative = "two-sided"

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """The side `b`."""
        return {"b": self.b}

    @property
    def bound(self) -> float:
        """The level."""
        return self.level

    def check_axes(self, axes: Axes) -> Iterator[Problem]:
        """Besides, `a` has one level, and `level` lies within those of `b`."""
        found = list(super().check_axes(axes))
        yield from found
        if any(problem.key == f"{self.where}.axis" for problem in found):
            return
        if self.axis not in self.a or isinstance(self.a[self.axis], list | tuple):
            yield Problem(
                f"{self.where}.a",
                f"must name one level of {self.axis!r}: that of the cells that {self.axis!r} is to match",
            )
        spanned = self.levels_of("b", axes)
        if spanned and not min(spanned) <= self.level <= max(spanned):
            yield Problem(
                f"{self.where}.level",
                f"is {self.level:g}, outside the levels of {self.axis!r} in b: {listed(spanned)}",
            )
