"""What each kind of hypothesis estimates: from lanes to a value per seed, an estimate and an interval.

Every kind makes *columns* `(seeds, columns)`, each the mean of a metric over cells within a seed, and estimates
`T(means of the columns over seeds)`. Where T is linear (contrast, equivalence, interaction, slope), a seed has a value
of its own and the estimate is the mean of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bn_ablate.analysis import curves, stats
from bn_ablate.analysis.scores import Scores
from bn_ablate.analysis.stats import Interval, Vector
from bn_ablate.config.hypotheses import EquivalentLevel, Hypothesis, OptimumShift, Slope
from bn_ablate.config.hypothesis_checks import levels_in


@dataclass(frozen=True)
class Estimated:
    """An estimate, and what it takes to judge it.

    Attributes:
        value: the estimate; None where no seed has a value. Beyond an axis where the level lies outside its levels.
        interval: its 95% interval, in the same terms; None where there is none.
        d: what the test is about `(seeds,)`: a value per seed.
        zero: what the mean of `d` is tested against.
        n_excluded: seeds that have no value.
        second: another test that must hold as well, if any.
        notes: what else the record says.
    """

    value: float | None
    interval: Interval | None
    d: Vector
    zero: float
    n_excluded: int
    second: stats.Test | None = None
    notes: dict[str, Any] = field(default_factory=dict)


def bound_of(hypothesis: Hypothesis) -> float:
    """What the estimate is held against: the margin in the stated direction; a level, where a level is estimated."""
    if isinstance(hypothesis, EquivalentLevel):
        return hypothesis.level
    alternative = getattr(hypothesis, "alternative", "")
    return {"greater": 1.0, "less": -1.0}.get(alternative, 0.0) * getattr(hypothesis, "margin", 0.0)


def estimate(hypothesis: Hypothesis, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int) -> Estimated:
    """Estimate what `hypothesis` is about. A seed counts if every column has a finite value for it."""
    match hypothesis:
        case OptimumShift():
            return _optimum_shift(hypothesis, scores, axes, resamples)
        case EquivalentLevel():
            return _equivalent_level(hypothesis, scores, axes, resamples)
        case Slope():
            return _slope(hypothesis, scores, axes, resamples)
    signs = {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}
    values = scores.of(hypothesis.metric)
    sides = {side: scores.side(values, rule, hypothesis.select) for side, rule in hypothesis.sides.items()}
    with np.errstate(invalid="ignore"):
        d = np.sum([signs[side] * found.values for side, found in sides.items()], axis=0)
    return _mean_of(d, bound_of(hypothesis), resamples, _chosen(hypothesis, {s: [f.chosen] for s, f in sides.items()}))


def _mean_of(d: Vector, zero: float, resamples: int, notes: dict[str, Any]) -> Estimated:
    kept = d[np.isfinite(d)]
    mean = float(kept.mean()) if len(kept) else None
    return Estimated(mean, stats.mean_interval(kept, resamples), kept, zero, len(d) - len(kept), notes=notes)


def _slope(hypothesis: Slope, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int) -> Estimated:
    d, chosen = np.zeros(scores.n_seeds), {}
    values = scores.of(hypothesis.metric)
    for sign, (side, rule) in zip((1.0, -1.0), hypothesis.sides.items(), strict=False):
        levels, columns, chosen[side] = _along(hypothesis, values, rule, scores, axes)
        with np.errstate(invalid="ignore"):
            d = d + sign * columns @ curves.slope_weights(_x(hypothesis, levels, axes))
    return _mean_of(d, bound_of(hypothesis), resamples, _chosen(hypothesis, chosen))


def _optimum_shift(
    hypothesis: OptimumShift, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int
) -> Estimated:
    quality = scores.quality(hypothesis.metric)
    levels, both, chosen = {}, {}, {}
    for side, rule in hypothesis.sides.items():
        levels[side], both[side], chosen[side] = _along(hypothesis, quality, rule, scores, axes)
    x = {side: _x(hypothesis, there, axes) for side, there in levels.items()}
    columns = np.concatenate([both["a"], both["b"]], axis=1)
    columns = columns[~np.isnan(columns).any(axis=1)]
    split = len(levels["a"])

    def shift(means: Vector) -> Vector:
        return curves.optimum(x["a"], means[..., :split]) - curves.optimum(x["b"], means[..., split:])

    if len(columns) < 2:
        return Estimated(None, None, np.empty(0), 0.0, scores.n_seeds - len(columns))
    means = columns.mean(axis=0)
    optima = {}
    for side, curve in (("a", means[:split]), ("b", means[split:])):
        best = int(np.argmax(curve))
        optima[side] = {
            "level": levels[side][best],
            "position": float(curves.optimum(x[side], curve)),
            "at_edge": best in (0, len(curve) - 1),
        }
    return Estimated(
        float(shift(means)),
        stats.interval(columns, shift, resamples),
        stats.pseudo_values(columns, shift),
        bound_of(hypothesis),
        scores.n_seeds - len(columns),
        notes={"optima": optima} | _chosen(hypothesis, chosen),
    )


def _equivalent_level(
    hypothesis: EquivalentLevel, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int
) -> Estimated:
    values = scores.of(hypothesis.metric)
    matched = scores.side(values, hypothesis.a, hypothesis.select)
    levels, curve, chosen = _along(hypothesis, values, hypothesis.b, scores, axes)
    x = _x(hypothesis, levels, axes)
    columns = np.concatenate([matched.values[:, np.newaxis], curve], axis=1)
    columns = columns[np.isfinite(columns).all(axis=1)]
    if len(columns) < 2:
        return Estimated(None, None, np.empty(0), 0.0, scores.n_seeds - len(columns))
    slopes = columns[:, 1:] @ curves.slope_weights(x)
    direction = 1.0 if slopes.mean() >= 0 else -1.0

    def level(means: Vector) -> Vector:
        return curves.meeting(x, direction * means[..., 1:], direction * means[..., 0])

    def as_level(position: float) -> float:
        return float(10**position) if hypothesis.scale == "log10" else float(position)

    at = float(np.log10(hypothesis.level)) if hypothesis.scale == "log10" else hypothesis.level
    interval = stats.interval(columns, level, resamples)
    if interval:
        interval = interval._replace(low=as_level(interval.low), high=as_level(interval.high))
    return Estimated(
        as_level(float(level(columns.mean(axis=0)))),
        interval,
        direction * (columns[:, 0] - columns[:, 1:] @ curves.interpolation_weights(x, at)),
        0.0,
        scores.n_seeds - len(columns),
        second=stats.sign_flip_p(slopes, resamples),
        notes={"curve": "rising" if direction > 0 else "falling", "levels": [min(levels), max(levels)]}
        | _chosen(hypothesis, {"a": [matched.chosen], "b": chosen}),
    )


def _along(
    hypothesis: OptimumShift | Slope | EquivalentLevel,
    values: Vector,
    rule: dict[str, Any],
    scores: Scores,
    axes: dict[str, tuple[Any, ...]],
) -> tuple[tuple[float, ...], Vector, list[dict[str, int]]]:
    """The levels of the hypothesis's axis that `rule` has cells at, ascending, and a column for each."""
    axis = hypothesis.axis
    there = {cell.levels[axis] for cell in scores.cells if cell.matches(rule)}
    levels = tuple(sorted(there.intersection(levels_in(rule, axis, axes[axis]))))
    sides = [scores.side(values, rule | {axis: level}, hypothesis.select) for level in levels]
    return levels, np.stack([side.values for side in sides], axis=1), [side.chosen for side in sides]


def _x(
    hypothesis: OptimumShift | Slope | EquivalentLevel, levels: tuple[float, ...], axes: dict[str, tuple[Any, ...]]
) -> Vector:
    """Where `levels` stand on the axis: themselves, their log10, or their rank among all levels of the study's axis."""
    if hypothesis.scale == "rank":
        every = sorted(axes[hypothesis.axis])
        return np.array([every.index(level) for level in levels], dtype=float)
    x = np.array(levels, dtype=float)
    return np.log10(x) if hypothesis.scale == "log10" else x


def _chosen(hypothesis: Hypothesis, by_side: dict[str, list[dict[str, int]]]) -> dict[str, Any]:
    """How often each level was chosen, by side, over its cells and seeds."""
    if hypothesis.select is None:
        return {}
    total: dict[str, dict[str, int]] = {}
    for side, counts in by_side.items():
        total[side] = {}
        for count in counts:
            for level, times in count.items():
                total[side][level] = total[side].get(level, 0) + times
    return {"selected": total}
