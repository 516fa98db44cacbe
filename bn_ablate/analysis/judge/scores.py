"""A study's lanes as arrays `(seeds, cells)`, and the choice of levels on validation data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import Select
from bn_ablate.config.quantity import quantity
from bn_ablate.config.schema import Study
from bn_ablate.plan import Cell, cells_of


class Side(NamedTuple):
    """The values of a set of cells `(seeds,)`, and how often each level was chosen, where there was a choice."""

    values: Vector
    chosen: dict[str, int]


class Scores:
    """The lanes of a study by seed and cell.

    Attributes:
        cells: the study's cells, in order.
        diverged: `(seeds, cells)`, whether the lane diverged; False where it is missing.
    """

    def __init__(self, study: Study, lanes: pl.DataFrame) -> None:
        self.cells: tuple[Cell, ...] = cells_of(study)
        self.n_seeds = len(study.seed_list)
        self._lanes = lanes
        columns = {tuple(cell.levels.values()): i for i, cell in enumerate(self.cells)}
        rows = {seed: i for i, seed in enumerate(study.seed_list)}
        self._row = np.full((self.n_seeds, len(self.cells)), -1)
        for i, (seed, *levels) in enumerate(lanes.select("seed", *study.axes).iter_rows()):
            if seed in rows and tuple(levels) in columns:
                self._row[rows[seed], columns[tuple(levels)]] = i
        self.diverged: NDArray[np.bool_] = self._laid_out(lanes["status"] == "diverged", missing=False)
        self._known: dict[str, Vector] = {}

    def of(self, metric: str) -> Vector:
        """`metric` by seed and cell; NaN where there is none."""
        if metric not in self._known:
            values = self._lanes[metric].cast(pl.Float64).fill_null(np.nan)
            self._known[metric] = self._laid_out(values, missing=np.nan)
        return self._known[metric]

    def quality(self, metric: str) -> Vector:
        """A metric that selects, turned so that more is better; −∞ where a diverged lane has none, NaN if missing."""
        values = self.of(metric) if quantity(metric).better == "higher" else -self.of(metric)
        return np.where(self.diverged & ~np.isfinite(values), -np.inf, values)

    def places(self, rule: dict[str, Any]) -> list[int]:
        """Where the cells that `rule` allows stand in `cells`."""
        return [i for i, cell in enumerate(self.cells) if cell.matches(rule)]

    def complete(self, places: list[int]) -> bool:
        """Whether every seed has its lane in each of the cells at `places`."""
        return bool((self._row[:, places] >= 0).all())

    def side(self, values: Vector, rule: dict[str, Any], select: Select | None, summary: str = "mean") -> Side:
        """The mean of `values` `(seeds, cells)` over the cells of `rule`, a number per seed; not finite if one is.

        With `summary` = `spread` it is their standard deviation, divided by the number of cells.

        With `select`, cells that differ on its axis alone stand for one, and each seed takes the level that is best for
        it on its validation data: what is estimated is how networks do that are tuned. Seeds stay independent of each
        other, so that interval and test hold as they do without a choice.
        """
        return self.side_at(values, self.places(rule), select, summary)

    def side_at(self, values: Vector, places: list[int], select: Select | None, summary: str = "mean") -> Side:
        """`side` of the cells at `places`."""
        summarize: Callable[..., Vector] = np.std if summary == "spread" else np.mean
        if select is None:
            return Side(summarize(values[:, places], axis=1), {})
        quality = self.quality(select.metric)
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place in places:
            levels = self.cells[place].levels
            groups.setdefault(tuple(v for axis, v in levels.items() if axis != select.axis), []).append(place)
        found, chosen = [], dict.fromkeys((str(self.cells[place].levels[select.axis]) for place in places), 0)
        for group in groups.values():
            there = ~np.isnan(quality[:, group]).any(axis=1)  # a seed that lacks a level cannot choose
            best = np.array(group)[np.argmax(quality[:, group], axis=1)]
            for place in best[there]:
                chosen[str(self.cells[place].levels[select.axis])] += 1
            found.append(np.where(there, values[np.arange(self.n_seeds), best], np.nan))
        return Side(summarize(np.stack(found, axis=1), axis=1), chosen)

    def _laid_out(self, column: pl.Series, missing: Any) -> NDArray[Any]:
        """A column of the lanes table by seed and cell."""
        values: NDArray[Any] = np.append(column.to_numpy(), missing)
        return np.asarray(values[self._row])
