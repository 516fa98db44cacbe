"""Curves over the levels of an axis: where the best level lies, and where a curve meets a value.

`x` are positions `(levels,)`, ascending; curves are `(..., levels)`, so that all resamples are taken at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bn_ablate.analysis.judge.stats import Vector


def optimum(x: Vector, curve: Vector) -> Vector:
    """Where `curve` is highest: the vertex of the parabola through its highest level and the two beside it.

    At an end of the axis the parabola goes through the last three levels, and the vertex stays within the axis. The
    level itself is taken where there are two levels, where the parabola does not bend down, and beside a value that is
    not finite. Of several highest levels, the middle between the first and the last.
    """
    first = np.argmax(curve, axis=-1)
    last = len(x) - 1 - np.argmax(curve[..., ::-1], axis=-1)
    return np.asarray((_vertex(x, curve, first) + _vertex(x, curve, last)) / 2)


def _vertex(x: Vector, curve: Vector, best: NDArray[np.intp]) -> Vector:
    at_level = np.asarray(x[best])
    if len(x) < 3:
        return at_level
    center = np.clip(best, 1, len(x) - 2)
    x0, x1, x2 = x[center - 1], x[center], x[center + 1]
    f0, f1, f2 = (np.take_along_axis(curve, (center + i)[..., None], axis=-1)[..., 0] for i in (-1, 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (f1 - f0) / (x1 - x0), (f2 - f1) / (x2 - x1)
        bend = (right - left) / ((x2 - x0) / 2)
        vertex = (x0 + x1) / 2 - left / bend
    usable = np.isfinite(f0) & np.isfinite(f2) & np.isfinite(vertex) & (bend < 0)
    return np.where(usable, np.clip(vertex, x[0], x[-1]), at_level)


def isotonic(curve: Vector) -> Vector:
    """The nearest rising curve in least squares: `max over l ≤ i of min over r ≥ i of mean(curve[l..r])`."""
    k = curve.shape[-1]
    total = np.concatenate([np.zeros((*curve.shape[:-1], 1)), np.cumsum(curve, axis=-1)], axis=-1)
    best = np.full(curve.shape, -np.inf)
    for left in range(k):
        lowest = np.full(curve.shape[:-1], np.inf)
        for right in range(k - 1, left - 1, -1):  # the running minimum over r ≥ i serves every i from l on
            lowest = np.minimum(lowest, (total[..., right + 1] - total[..., left]) / (right + 1 - left))
            best[..., right] = np.maximum(best[..., right], lowest)
    return best


def meeting(x: Vector, curve: Vector, value: Vector) -> Vector:
    """Where a rising `curve`, made monotone (`isotonic`) and joined by straight lines, equals `value` `(...)`.

    The middle of a flat stretch at that value. Off the curve's ends, one grid step beyond the end: a place that says
    "further out than was looked".
    """
    risen = isotonic(curve)
    value = np.asarray(value)[..., None]
    below, upto = (risen < value).sum(axis=-1), (risen <= value).sum(axis=-1)
    last = len(x) - 1
    left, right = np.clip(below - 1, 0, last), np.clip(below, 0, last)
    f_left, f_right = (np.take_along_axis(risen, i[..., None], axis=-1)[..., 0] for i in (left, right))
    with np.errstate(invalid="ignore", divide="ignore"):
        between = x[left] + (x[right] - x[left]) * (value[..., 0] - f_left) / (f_right - f_left)
    flat = (x[right] + x[np.clip(upto - 1, 0, last)]) / 2
    inside = np.where(upto > below, flat, between)
    inside = np.where(upto == 0, 2 * x[0] - x[1], inside)
    return np.asarray(np.where(below > last, 2 * x[-1] - x[-2], inside))


def slope_weights(x: Vector) -> Vector:
    """The weights that make the least-squares slope of a curve over `x`: `(x − x̄) / Σ (x − x̄)²`."""
    centered = x - x.mean()
    return np.asarray(centered / (centered @ centered))


def interpolation_weights(x: Vector, at: float) -> Vector:
    """The weights that make a curve's value at `at`, on straight lines between its levels."""
    return np.array([np.interp(at, x, unit) for unit in np.eye(len(x))])
