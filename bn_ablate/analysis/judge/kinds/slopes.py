"""Least-squares slopes over an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bn_ablate.analysis.judge import level_curves
from bn_ablate.analysis.judge.along_axis import KindAlongAxis
from bn_ablate.analysis.judge.estimands import Chosen, Imagining, Record
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import Axes
from bn_ablate.config.kinds.slope import Slope
from bn_ablate.config.quantity import Unit

_PER_STEP = {"linear": "per unit of {axis}", "log10": "per decade of {axis}", "rank": "per level of {axis}"}


class Slopes(KindAlongAxis[Slope]):
    """The slope of one side, minus that of the other where there is one."""

    kind = "slope"

    def by_seed(self, hypothesis: Slope, scores: Scores, axes: Axes) -> tuple[Vector, Chosen]:
        """Each seed's slopes."""
        d, chosen = np.zeros(scores.n_seeds), {}
        values = scores.of(hypothesis.metric)
        for sign, (side, rule) in zip((1.0, -1.0), hypothesis.sides.items(), strict=False):
            levels, columns, chosen[side] = self.columns(hypothesis, values, rule, scores, axes)
            with np.errstate(invalid="ignore"):
                d = d + sign * columns @ level_curves.slope_weights(self.positions(hypothesis, levels, axes))
        return d, chosen

    def outcome(self, about: Imagining, x: Vector, along: Vector, ends: tuple[float, float], to: float) -> Vector:
        """A step in the middle of each side, up or down."""
        a = about.sides["a"]
        middle = {side: np.unique(x[there]).mean() for side, there in about.sides.items()}
        upper = x > np.where(a, middle["a"], middle.get("b", 0.0))
        return np.where(upper == (a == (to > 0)), ends[1], ends[0])

    def scale(self, record: Record) -> Unit:
        """The metric's unit per step of the axis."""
        unit, axis = super().scale(record), record["axis"].replace("_", " ")
        per = _PER_STEP[record["scale"]].format(axis=axis)
        return unit._replace(name=f"{unit.name} {per}", shown=f"{unit.shown} {per}".strip())

    def estimand(self, hypothesis: Slope, label: str, sides: Sequence[str]) -> str:
        """The slope on the axis."""
        minus = f", minus that over {sides[1]}" if len(sides) > 1 else ""
        return f"Slope of mean {label} on {self.axis_text(hypothesis)} over {sides[0]}{minus}, paired by seed"
