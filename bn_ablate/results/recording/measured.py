"""What the engine measured, as arrays by the name of their column; masked where there is nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bn_ablate.results.recording.columns import (
    AFFINE,
    CURVES,
    EVALUATED,
    LANDSCAPE,
    OF_BN,
    OFF,
    PARTS,
    PERCENTILES,
    PROBED,
    SHIFTED,
)

if TYPE_CHECKING:
    from bn_ablate.engine import Outcome


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
    seen, extras = outcome.observations, outcome.observations.extras
    times, n_seeds, n_cells, depth = seen.gradient_norm.shape
    lanes = n_seeds * n_cells

    def by_lane(leaf: Any) -> Masked:
        """(times, seeds, cells, …) as (lanes, times, …)."""
        leaf = np.asarray(leaf, float)
        return np.ma.asarray(np.moveaxis(leaf.reshape(times, lanes, *leaf.shape[3:]), 0, 1))

    def of_parts(evaluation: Any) -> list[Masked]:
        """Loss and accuracy, part by part."""
        loss, accuracy = by_lane(evaluation.loss), by_lane(evaluation.accuracy)
        return [curve[:, :, i] for i in range(len(PARTS)) for curve in (loss, accuracy)]

    history = dict.fromkeys((*EVALUATED, *LANDSCAPE), nothing(lanes, times))
    for how, evaluation in (("", seen), ("recalibrated_", extras.recalibrated), ("batch_", extras.batch)):
        if evaluation is not None:
            history |= zip([how + curve for curve in CURVES], of_parts(evaluation), strict=True)
    if extras.landscape is not None:
        history |= zip(LANDSCAPE, map(by_lane, extras.landscape), strict=True)

    layers = dict.fromkeys((*OFF, *OF_BN, *PERCENTILES), nothing(lanes, times, depth))
    layers |= zip(PROBED, map(by_lane, seen.layers), strict=True)
    layers["gradient_norm"] = by_lane(seen.gradient_norm)
    for names, leaves in ((OFF, extras.units_off), (SHIFTED, extras.variance_shift), (AFFINE, extras.affine)):
        if leaves is not None:
            layers |= zip(names, map(by_lane, leaves), strict=True)
    if extras.percentiles is not None:
        layers |= zip(PERCENTILES, np.ma.asarray(np.moveaxis(by_lane(extras.percentiles), -1, 0)), strict=True)

    between = np.ones((times, 1), bool)
    between[[0, -1]] = False
    bare = ~np.asarray([cell.settings.normed_blocks for cell in outcome.shard.cells] * n_seeds)[:, None]
    history |= {name: without(history[name], between[:, 0]) for name in EVALUATED}
    layers |= {name: without(layers[name], between) for name in (*OFF, *SHIFTED)}
    layers |= {name: without(layers[name], bare) for name in OF_BN}
    return Measured(history, layers)


def nothing(*shape: int) -> Masked:
    """An array with nothing in it."""
    return np.ma.array(np.zeros(shape), mask=True)


def without(values: Masked, where: np.ndarray) -> Masked:
    """`values` with those masked too that stand where `where`, which is broadcast, is true."""
    return np.ma.array(values.data, mask=np.broadcast_to(values.mask | where, values.shape))
