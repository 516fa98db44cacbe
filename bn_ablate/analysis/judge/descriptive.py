"""Aggregates over many cells that say more than a mean: Agarwal et al., 2021 (arXiv 2108.13264).

Throughout, `scores` is `(seeds, cells)`, finite. They describe, and carry no verdict. The stratified bootstrap draws
the seeds of each cell by themselves, as the paper does; cells of one study share their seeds, and `shared_seeds=True`
draws whole seeds instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.selection import levels_of
from bn_ablate.analysis.judge.stats import LEVEL, RESAMPLES, Vector
from bn_ablate.results import Results


class Described(NamedTuple):
    """A number, or one per threshold, and the ends of its 95% percentile interval."""

    value: Vector
    low: Vector
    high: Vector


def scores_of(results: Results, metric: str, rule: dict[str, Any]) -> Vector:
    """`metric` of the cells that `rule` allows, `(seeds, cells)`; NaN where a lane has none."""
    scores = Scores(results.study, results.lanes)
    return scores.of(metric)[:, scores.places(rule)]


def by_placement(results: Results, metric: str) -> dict[str, Vector]:
    """`metric` of each placement `(seeds, cells)`, in the cells that all placements have and whose lanes all have it.

    The same column is the same cell but for the placement; nothing where the study compares no placements.
    """
    places = levels_of(results, "placement") if "placement" in results.axes else ()
    study = results.study
    if study.looks:  # the seeds that all cells have
        study = study.at_look(study.looks[0])
    scores = Scores(study, results.lanes)
    values = scores.of(metric)
    columns: dict[tuple[Any, ...], dict[str, int]] = {}
    for column, cell in enumerate(scores.cells):
        others = tuple(level for axis, level in cell.levels.items() if axis != "placement")
        if np.isfinite(values[:, column]).all() and places:
            columns.setdefault(others, {})[cell.levels["placement"]] = column
    shared = [found for found in columns.values() if len(found) == len(places)]
    return {place: values[:, [found[place] for found in shared]] for place in places} if shared else {}


def iqm(scores: Vector) -> float:
    """Interquartile mean: the mean of all runs without the lowest and the highest quarter of them."""
    cut = scores.size // 4
    return float(np.sort(scores, axis=None)[cut : scores.size - cut].mean())


def probability_of_improvement(x: Vector, y: Vector) -> float:
    """P(X > Y) + P(X = Y) / 2 for a run of `x` and a run of `y` in the same cell, averaged over cells."""
    return float((1 + np.sign(x[:, np.newaxis] - y).mean()) / 2)


def performance_profile(scores: Vector, thresholds: Vector) -> Vector:
    """The share of all runs that score above each threshold `(thresholds,)`."""
    return np.asarray(1 - np.searchsorted(np.sort(scores, axis=None), thresholds, side="right") / scores.size)


def described(
    statistic: Callable[..., Any], *scores: Vector, shared_seeds: bool = False, resamples: int = RESAMPLES
) -> Described:
    """`statistic` of one or two arrays of `scores`, with a percentile interval by stratified bootstrap."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(resamples):
        again, rows = [], rng.integers(len(scores[0]), size=(len(scores[0]), 1))
        for values in scores:
            n, cells = values.shape
            if not shared_seeds:
                rows = rng.integers(n, size=(n, cells))
            again.append(np.take_along_axis(values, np.broadcast_to(rows, (n, cells)), axis=0))
        drawn.append(statistic(*again))
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return Described(np.asarray(statistic(*scores)), low, high)
