"""How far apart the best levels of two sets of cells lie, on curves averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bn_ablate.analysis.judge import level_curves, stats
from bn_ablate.analysis.judge.along_axis import KindAlongAxis
from bn_ablate.analysis.judge.estimands import Estimated, Imagining, Record, selected
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import Axes
from bn_ablate.config.kinds.optimum_shift import OptimumShift
from bn_ablate.config.quantity import Unit

_STEPS = {"linear": "{axis}", "log10": "decades of {axis}", "rank": "levels of {axis}"}


class OptimumShifts(KindAlongAxis[OptimumShift]):
    """The best level of `a` minus that of `b`."""

    kind = "optimum_shift"
    where_diverged = "A diverged lane is worse than any other, so a level at which one diverged is never the best."

    def estimate(self, hypothesis: OptimumShift, scores: Scores, axes: Axes, terms: stats.Terms) -> Estimated:
        """The shift of the vertex; its p value is of curves that change places."""
        quality = scores.quality(hypothesis.metric)
        levels, a, of_a = self.columns(hypothesis, quality, hypothesis.a, scores, axes)
        _, b, of_b = self.columns(hypothesis, quality, hypothesis.b, scores, axes)  # of the same levels: see the plan
        x, k = self.positions(hypothesis, levels, axes), len(levels)
        columns = np.concatenate([a, b], axis=1)
        columns = columns[~np.isnan(columns).any(axis=1)]
        n_excluded = scores.n_seeds - len(columns)

        def shift(means: Vector) -> Vector:
            return level_curves.optimum(x, means[..., :k]) - level_curves.optimum(x, means[..., k:])

        if len(columns) < 2:
            return Estimated(None, None, np.empty(0), 0.0, None, n_excluded)
        means = columns.mean(axis=0)
        if not (np.isfinite(means[:k]).any() and np.isfinite(means[k:]).any()):  # lanes diverged at every level
            return Estimated(None, None, np.empty(0), 0.0, None, scores.n_seeds)
        optima = {}
        for side, curve in (("a", means[:k]), ("b", means[k:])):
            best = int(np.argmax(curve))
            optima[side] = {
                "level": levels[best],
                "position": float(level_curves.optimum(x, curve)),
                "at_edge": best in (0, k - 1),
            }
        return Estimated(
            float(shift(means)),
            stats.interval(columns, shift, terms),
            stats.pseudo_values(columns, shift),
            0.0,
            stats.swap_p(columns[:, :k], columns[:, k:], shift, terms),
            n_excluded,
            {"optima": optima} | selected(hypothesis, {"a": of_a, "b": of_b}),
        )

    def outcome(self, about: Imagining, x: Vector, along: Vector, ends: tuple[float, float], to: float) -> Vector:
        """Parabolas with their vertices at the two ends of the axis."""
        return np.asarray(1.0 - (along - (about.sides["a"] == (to > 0))) ** 2)

    def remark(self, record: Record) -> str:
        """A sentence on optima that may lie beyond the levels looked at."""
        sides = [side for side, at in record.get("optima", {}).items() if at["at_edge"]]
        return f" The best level of {' and of '.join(sides)} is the last one looked at." if sides else ""

    def details(self, record: Record) -> list[tuple[str, str]]:
        """The best level of each side, and whether it is the last one that was looked at."""
        optima = "; ".join(
            f"{side}: {at['level']:g}{', at the edge of the axis' if at['at_edge'] else ''}"
            for side, at in record.get("optima", {}).items()
        )
        return [("Optima", optima)]

    def scale(self, record: Record) -> Unit:
        """Steps of the axis."""
        unit = _STEPS[record["scale"]].format(axis=record["axis"].replace("_", " "))
        return Unit(unit, shown=unit)

    def estimand(self, hypothesis: OptimumShift, label: str, sides: Sequence[str]) -> str:
        """The two optima."""
        a, b = sides
        return (
            f"The {self.axis_text(hypothesis)} that is best by mean {label} over {a}, minus that over {b}, "
            "on curves averaged over seeds"
        )
