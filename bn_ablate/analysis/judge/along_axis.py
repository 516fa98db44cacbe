"""Kinds of hypotheses that look at a metric along an axis, level by level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import numpy as np

from bn_ablate.analysis.judge.estimands import Imagining, Kind, reach
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import AlongAxis, Axes, levels_in

A = TypeVar("A", bound=AlongAxis)


class KindAlongAxis(Kind[A], ABC):
    """What they have in common: columns by level, and where levels stand."""

    def columns(
        self, hypothesis: A, values: Vector, rule: dict[str, Any], scores: Scores, axes: Axes
    ) -> tuple[tuple[float, ...], Vector, list[dict[str, int]]]:
        """The levels of the axis that `rule` has cells at, ascending, a column `(seeds,)` for each, what was chosen."""
        axis = hypothesis.axis
        there: dict[float, list[int]] = {}
        for place in scores.places(rule):
            there.setdefault(scores.cells[place].levels[axis], []).append(place)
        levels = tuple(sorted(there.keys() & set(levels_in(rule, axis, axes[axis]))))
        sides = [scores.side_at(values, there[level], hypothesis.select) for level in levels]
        return levels, np.stack([side.values for side in sides], axis=1), [side.chosen for side in sides]

    def positions(self, hypothesis: A, levels: tuple[float, ...], axes: Axes) -> Vector:
        """Where `levels` stand on the axis: themselves, their log10, or their rank among all that the study has."""
        if hypothesis.scale == "rank":
            every = sorted(axes[hypothesis.axis])
            return np.array([every.index(level) for level in levels], dtype=float)
        x = np.array(levels, dtype=float)
        return np.log10(x) if hypothesis.scale == "log10" else x

    def imagined(self, hypothesis: A, about: Imagining, to: float) -> Vector:
        """As `outcome` has it, with values whose slope over the spanned levels can exceed the margin."""
        x = self.positions(hypothesis, tuple(cell.levels[hypothesis.axis] for cell in about.cells), about.axes)
        spanned = x[np.logical_or.reduce([about.sides[side] for side in hypothesis.spanning])]
        width = float(np.ptp(spanned))
        return self.outcome(about, x, (x - spanned.min()) / width, reach(hypothesis, about, 2 * width), to)

    @abstractmethod
    def outcome(self, about: Imagining, x: Vector, along: Vector, ends: tuple[float, float], to: float) -> Vector:
        """Values of cells `(cells,)` between the two `ends`.

        `x` are the cells' positions, `along` those from 0 to 1 over what is spanned, both `(cells,)`.
        """

    def axis_text(self, hypothesis: A) -> str:
        """The axis, on its scale."""
        axis = hypothesis.axis.replace("_", " ")
        return {"log10": f"log10 of {axis}", "rank": f"rank of {axis}"}.get(hypothesis.scale, axis)
