"""Two sets of cells that differ by less than a margin, by two one-sided tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bn_ablate.analysis.judge import spending, stats
from bn_ablate.analysis.judge.estimands import Estimated, Imagining, Kind, Record, Verdict, reach
from bn_ablate.analysis.judge.stats import ALPHA, Vector
from bn_ablate.config.kinds.equivalence import Equivalence

FUTILE = 0.1
"""A hypothesis that the last look decides with a smaller chance than this gets no more seeds."""


class Equivalences(Kind[Equivalence]):
    """The mean of one side minus that of the other, and whether it lies within the margin."""

    kind = "equivalence"

    def test(self, hypothesis: Equivalence, d: Vector, terms: stats.Terms) -> stats.Test:
        """Two one-sided tests where the mean lies within the margin."""
        return stats.equivalence_p(d, hypothesis.margin, terms)

    def seeds_needed(self, hypothesis: Equivalence, estimated: Estimated, family: int) -> int | None:
        """From within the margin there are two bounds to clear, from without one."""
        room = hypothesis.margin - abs(float(estimated.d.mean()))
        return stats.seeds_needed(estimated.d, abs(room), family, both_sides=room > 0)

    def hopeless(self, hypothesis: Equivalence, estimated: Estimated, last: int, share: float) -> bool:
        """No bound will be cleared, not by the difference within Student's 80% interval that is the best for it."""
        if len(estimated.d) < stats.FEWEST_SEEDS:
            return False
        return spending.chance_of_equivalence(estimated.d, hypothesis.margin, last, ALPHA * share) < FUTILE

    def clearest(self, hypothesis: Equivalence, about: Imagining) -> Iterator[Vector]:
        """No difference, then those of a contrast."""
        yield np.full(len(about.cells), reach(hypothesis, about)[0])
        yield from super().clearest(hypothesis, about)

    def bounds(self, record: Record) -> tuple[float, float]:
        """The margin, on both sides of zero."""
        return -record["margin"], record["margin"]

    def verdict(self, record: Record, p_adjusted: float, p: str) -> Verdict:
        """Equivalent within the margin, contradicted outside."""
        margin, clear = f"±{self.scale(record).difference(record['margin']).lstrip('+')}", p_adjusted < ALPHA
        if record["lies"] != "across":
            joined = f"{'and' if clear else 'but'} {p}"
            verdict = "contradicted" if clear else "inconclusive"
            return Verdict(verdict, f"The 95% interval lies wholly outside {margin}, {joined}.")
        if abs(record["estimate"]) >= record["margin"]:
            return Verdict("inconclusive", f"The 95% interval reaches into {margin}; {p}.")
        if clear:
            return Verdict("equivalent", f"Two one-sided tests place the difference within {margin}; {p}.")
        return Verdict("inconclusive", f"Two one-sided tests do not place the difference within {margin}; {p}.")
