"""A difference of two sets of cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from bn_ablate.config.errors import Problem
from bn_ablate.config.hypotheses import Alternative, Cells, Hypothesis, Levels, Margin, Summary, networks_in
from bn_ablate.config.metrics import Metric


class Contrast(Hypothesis):
    """Mean (or `spread`) of `metric` over the cells of `a` minus that over the cells of `b`, paired by seed.

    `greater`: the difference lies above `margin`; `less`: it lies below `-margin`; `two-sided`: it is
    not zero, and takes no margin.
    """

    kind: Literal["contrast"]
    metric: Metric
    a: Cells
    b: Cells
    summary: Summary = "mean"
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0

    def check_keys(self) -> Iterator[Problem]:
        """A margin without a direction may be meant as that of an equivalence."""
        hint = f'; kind = "equivalence" asks whether it lies within ±{self.margin:g}'
        yield from (Problem(key, message + hint) for key, message in super().check_keys())

    def check_cells(self, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
        """A spread needs several networks."""
        chosen = self.select.axis if self.select else ""
        for side, cells in sides.items() if self.summary == "spread" else ():
            if len(networks_in(cells, chosen)) < 2:
                apart = f" that differ in more than {chosen!r}" if chosen else ""
                yield Problem(
                    f"{self.where}.{side}",
                    f'has one network, whose spread is always 0; summary = "spread" needs two cells or more{apart}',
                )
