"""The level of an axis at which a monotone curve, averaged over seeds, meets what stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bn_ablate.analysis.judge import level_curves, stats
from bn_ablate.analysis.judge.along_axis import KindAlongAxis
from bn_ablate.analysis.judge.estimands import Estimated, Imagining, Record, selected
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import Axes
from bn_ablate.config.kinds.equivalent_level import EquivalentLevel
from bn_ablate.config.quantity import Unit


class EquivalentLevels(KindAlongAxis[EquivalentLevel]):
    """The level at which `b` has the metric of `a`."""

    kind = "equivalent_level"
    signed = False

    def estimate(self, hypothesis: EquivalentLevel, scores: Scores, axes: Axes, terms: stats.Terms) -> Estimated:
        """Where the curve meets the value; its p value is that of the value beyond the curve at the stated level."""
        values = scores.of(hypothesis.metric)
        matched = scores.side(values, hypothesis.a, hypothesis.select)
        levels, curve, chosen = self.columns(hypothesis, values, hypothesis.b, scores, axes)
        x = self.positions(hypothesis, levels, axes)
        columns = np.concatenate([matched.values[:, np.newaxis], curve], axis=1)
        columns = columns[np.isfinite(columns).all(axis=1)]
        n_excluded = scores.n_seeds - len(columns)
        if len(columns) < 2:
            return Estimated(None, None, np.empty(0), 0.0, None, n_excluded)
        slopes = columns[:, 1:] @ level_curves.slope_weights(x)
        direction = 1.0 if slopes.mean() >= 0 else -1.0

        def level(means: Vector) -> Vector:
            return level_curves.meeting(x, direction * means[..., 1:], direction * means[..., 0])

        def as_level(position: float) -> float:
            return float(10**position) if hypothesis.scale == "log10" else float(position)

        at = float(np.log10(hypothesis.level)) if hypothesis.scale == "log10" else hypothesis.level
        interval = stats.interval(columns, level, terms)
        if interval:
            interval = interval._replace(low=as_level(interval.low), high=as_level(interval.high))
        d = direction * (columns[:, 0] - columns[:, 1:] @ level_curves.interpolation_weights(x, at))
        beyond, moves = stats.sign_flip_p(d, terms), stats.sign_flip_p(slopes, terms)
        return Estimated(
            as_level(float(level(columns.mean(axis=0)))),
            interval,
            d,
            0.0,
            stats.Test(
                max(beyond.p, moves.p),
                f"{beyond.method}; the larger p of that against the level and that of the curve's slope",
            ),
            n_excluded,
            {"curve": "rising" if direction > 0 else "falling", "levels": [min(levels), max(levels)]}
            | selected(hypothesis, {"a": [matched.chosen], "b": chosen}),
        )

    def recorded(self, record: dict[str, Any]) -> dict[str, Any]:
        """A level that lies off the axis becomes the axis's end, and `off_axis` says that it lies beyond (`<`, `>`)."""
        if record["estimate"] is None:
            return record | {"off_axis": {}}
        lowest, highest = map(float, record["levels"])
        slack = 1e-9 * (highest - lowest)
        values = {"estimate": record["estimate"]}
        if record["interval"]:
            values |= dict(zip(("low", "high"), record["interval"], strict=True))
        inside = {name: min(max(value, lowest), highest) for name, value in values.items()}
        beyond = {name: value - inside[name] for name, value in values.items() if abs(value - inside[name]) > slack}
        return record | {
            "estimate": inside["estimate"],
            "interval": [inside["low"], inside["high"]] if record["interval"] else None,
            "off_axis": {name: ">" if by > 0 else "<" for name, by in beyond.items()},
        }

    def outcome(self, about: Imagining, x: Vector, along: Vector, ends: tuple[float, float], to: float) -> Vector:
        """A rising curve, and beside it an end of what the metric can be."""
        low, high = ends
        return np.where(about.sides["a"], high if to > 0 else low, low + (high - low) * (0.25 + 0.5 * along))

    def bound_text(self, record: Record) -> str:
        """The stated level."""
        return self.scale(record).value(record["bound"])

    def scale(self, record: Record) -> Unit:
        """A level of the axis."""
        axis = record["axis"].replace("_", " ")
        return Unit(axis, shown=axis)

    def estimand(self, hypothesis: EquivalentLevel, label: str, sides: Sequence[str]) -> str:
        """The level, and what it is matched to."""
        a, b = sides
        return (
            f"The {self.axis_text(hypothesis)} at which mean {label} over {b} equals that over {a}, "
            "on curves averaged over seeds"
        )
