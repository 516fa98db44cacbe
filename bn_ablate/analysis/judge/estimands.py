"""What each kind of hypothesis estimates: from lanes to a value per seed, an estimate and an interval.

Every kind makes *columns* `(seeds, columns)`, each the mean of a metric over cells within a seed, and estimates
`T(means of the columns over seeds)`. Where T is linear (contrast, equivalence, interaction, slope), a seed has a value
of its own and the estimate is the mean of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bn_ablate.analysis.judge import level_curves, stats
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import Interval, Vector
from bn_ablate.config.hypotheses import SIGNS, Equivalence, EquivalentLevel, Hypothesis, OptimumShift, Slope
from bn_ablate.config.hypothesis_checks import levels_in


@dataclass(frozen=True)
class Estimated:
    """An estimate, and what it takes to judge it.

    Attributes:
        value: the estimate; None where no seed has a value. Beyond an axis where the level lies outside its levels.
        interval: its 95% interval, in the same terms; None where there is none.
        d: a value per seed `(seeds,)`: for the size of the effect, and the seeds that a decision would need.
        zero: what the mean of `d` is held against.
        test: its p value; None from fewer than two seeds.
        n_excluded: seeds that have no value.
        notes: what else the record says.
    """

    value: float | None
    interval: Interval | None
    d: Vector
    zero: float
    test: stats.Test | None
    n_excluded: int
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
    values = scores.of(hypothesis.metric)
    summary = getattr(hypothesis, "summary", "mean")
    sides = {side: scores.side(values, rule, hypothesis.select, summary) for side, rule in hypothesis.sides.items()}
    with np.errstate(invalid="ignore"):
        d = np.sum([SIGNS[side] * found.values for side, found in sides.items()], axis=0)
    return _mean_of(hypothesis, d, resamples, {side: [found.chosen] for side, found in sides.items()})


def _mean_of(hypothesis: Hypothesis, d: Vector, resamples: int, chosen: dict[str, list[dict[str, int]]]) -> Estimated:
    """What is estimated by the mean of a value per seed."""
    kept, zero = d[np.isfinite(d)], bound_of(hypothesis)
    test = None
    if len(kept) > 1 and isinstance(hypothesis, Equivalence):
        test = stats.equivalence_p(kept, hypothesis.margin, resamples)
    elif len(kept) > 1:
        test = stats.sign_flip_p(kept - zero, resamples)
    mean = float(kept.mean()) if len(kept) else None
    interval, n_excluded = stats.mean_interval(kept, resamples), len(d) - len(kept)
    return Estimated(mean, interval, kept, zero, test, n_excluded, _chosen(hypothesis, chosen))


def _slope(hypothesis: Slope, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int) -> Estimated:
    d, chosen = np.zeros(scores.n_seeds), {}
    values = scores.of(hypothesis.metric)
    for sign, (side, rule) in zip((1.0, -1.0), hypothesis.sides.items(), strict=False):
        levels, columns, chosen[side] = _along(hypothesis, values, rule, scores, axes)
        with np.errstate(invalid="ignore"):
            d = d + sign * columns @ level_curves.slope_weights(positions(hypothesis, levels, axes))
    return _mean_of(hypothesis, d, resamples, chosen)


def _optimum_shift(
    hypothesis: OptimumShift, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int
) -> Estimated:
    quality = scores.quality(hypothesis.metric)
    levels, a, of_a = _along(hypothesis, quality, hypothesis.a, scores, axes)
    _, b, of_b = _along(hypothesis, quality, hypothesis.b, scores, axes)  # the same levels: the plan sees to it
    x, k = positions(hypothesis, levels, axes), len(levels)
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
        stats.interval(columns, shift, resamples),
        stats.pseudo_values(columns, shift),
        0.0,
        stats.swap_p(columns[:, :k], columns[:, k:], shift, resamples),
        n_excluded,
        {"optima": optima} | _chosen(hypothesis, {"a": of_a, "b": of_b}),
    )


def _equivalent_level(
    hypothesis: EquivalentLevel, scores: Scores, axes: dict[str, tuple[Any, ...]], resamples: int
) -> Estimated:
    values = scores.of(hypothesis.metric)
    matched = scores.side(values, hypothesis.a, hypothesis.select)
    levels, curve, chosen = _along(hypothesis, values, hypothesis.b, scores, axes)
    x = positions(hypothesis, levels, axes)
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
    interval = stats.interval(columns, level, resamples)
    if interval:
        interval = interval._replace(low=as_level(interval.low), high=as_level(interval.high))
    d = direction * (columns[:, 0] - columns[:, 1:] @ level_curves.interpolation_weights(x, at))
    beyond, moves = stats.sign_flip_p(d, resamples), stats.sign_flip_p(slopes, resamples)
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


def positions(
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
