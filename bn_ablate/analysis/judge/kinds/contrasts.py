"""Differences of two sets of cells."""

from __future__ import annotations

import numpy as np

from bn_ablate.analysis.judge.estimands import Imagining, Kind, added, networks, reach
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.kinds.contrast import Contrast


class Contrasts(Kind[Contrast]):
    """The mean, or the spread, of one side minus that of the other."""

    kind = "contrast"

    def summary(self, hypothesis: Contrast) -> str:
        """As stated."""
        return hypothesis.summary

    def imagined(self, hypothesis: Contrast, about: Imagining, to: float) -> Vector:
        """A side spreads where every other network is at the other end."""
        if hypothesis.summary == "mean":
            return super().imagined(hypothesis, about, to)
        low, high = reach(hypothesis, about)
        odd = np.array(networks(hypothesis, about.cells)) % 2 == 1
        return np.where((added(about) == (to > 0)) & odd, high, low)
