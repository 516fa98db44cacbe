"""What the engine measured, as arrays by the name of their column; masked where there is nothing to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bn_ablate.config.measures import PARTS
from bn_ablate.config.metrics import Tables, columns_with
from bn_ablate.config.quantity import Need

if TYPE_CHECKING:
    from bn_ablate.engine import Outcome
    from bn_ablate.plan import Cell


Masked = np.ma.MaskedArray[Any, np.dtype[np.float64]]


class Measured(NamedTuple):
    """The measurements of a shard, in float64.

    What was not asked for, was not taken at that step, or means nothing without BN is masked. What is there but not a
    number, since the lane diverged, is not.

    Attributes:
        history: (lanes, times) by column.
        layers: (lanes, times, depth) by column.
    """

    history: dict[str, Masked]
    layers: dict[str, Masked]


def measured(outcome: Outcome) -> Measured:
    """Sort what was observed of a shard by lane and by column."""
    seen, extras, cells = outcome.observations, outcome.observations.extras, outcome.shard.cells
    steps = np.diff(outcome.steps, prepend=0)[:, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        history: dict[str, Any] = {"batch_loss": np.asarray(seen.loss_sum) / steps}
    for i, part in enumerate(PARTS):
        history |= {f"{part}_loss": seen.loss[..., i], f"{part}_accuracy": seen.accuracy[..., i]}
    taken = {"history": history | extras.history, "layers": seen.layers | extras.layers}
    return Measured(**{table: _columns(table, found, cells, outcome.steps) for table, found in taken.items()})


def _columns(table: str, found: Mapping[str, Any], cells: tuple[Cell, ...], steps: Sequence[int]) -> dict[str, Masked]:
    """The columns of numbers in `table`, of which `found` has some by name, as (times, seeds, cells, …)."""
    taken = {name: np.asarray(by_lane(values), float) for name, values in found.items()}
    lanes, times, *layers = shape = next(iter(taken.values())).shape
    between = np.ones((times, *(1 for _ in layers)), bool)
    between[[0, -1]] = False

    @cache
    def lacking(need: Need) -> np.ndarray:
        has = need.by_layer if layers and need.by_layer else need.holds
        held = np.asarray([has(cell.settings) for cell in cells] * (lanes // len(cells)))
        lacks: np.ndarray = ~held.reshape(lanes, 1, *layers and [-1])
        if not need.present or all(cell.settings.normalized_after(step) for cell in cells for step in steps):
            return lacks
        there = [[cell.settings.normalized_after(step) for step in steps] for cell in cells] * (lanes // len(cells))
        absent: np.ndarray = lacks | ~np.asarray(there).reshape(lanes, times, *[1] * len(layers))
        return absent

    columns = columns_of(cells)[table]
    return {
        name: np.ma.array(
            taken.get(name, np.zeros(shape)),
            mask=reduce(
                np.logical_or,
                [*map(lacking, column.needs), between & column.ends],
                np.full(shape, name not in taken),
            ),
        )
        for name, column in columns.items()
    }


def columns_of(cells: tuple[Cell, ...]) -> Tables:
    """The columns of numbers in every table, for lanes of these cells, which have the same measures."""
    return {
        table: {name: column for name, column in columns.items() if column.kind == "number"}
        for table, columns in columns_with(cells[0].settings.column_measures).items()
    }


def by_lane(leaf: Any) -> np.ndarray:
    """(times, seeds, cells, …) as (lanes, times, …)."""
    times, n_seeds, n_cells, *rest = leaf.shape
    return np.moveaxis(np.asarray(leaf).reshape(times, n_seeds * n_cells, *rest), 0, 1)


def nothing(lanes: int) -> Masked:
    """A column with nothing in it."""
    return np.ma.array(np.zeros(lanes), mask=True)
