"""How whole splits are dealt in passes of one size: which examples each pass has, and of which part each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int, Int8, Int32

from bn_ablate.data import Split
from bn_ablate.data.permutation import permutation

NOWHERE = len(Split._fields)
"""The owner of what fills up a pass: it is not counted."""


class Passes(NamedTuple):
    """Examples in passes of one size (with a leading axis: of many seeds).

    Attributes:
        indices: of the examples in the data set.
        owners: the part that each is of, 0 for train, 1 for validation, 2 for test; or `NOWHERE`.
    """

    indices: Int32[np.ndarray, "*seeds passes size"]
    owners: Int8[np.ndarray, "*seeds passes size"]


class Pass(NamedTuple):
    """The examples of one pass, as a network is given them, and of which part each of them is (`Passes.owners`)."""

    x: Float[Array, "pass h w c"]
    y: Int[Array, " pass"]
    owners: Int[Array, " pass"]


class Chosen(NamedTuple):
    """Training examples that are looked at one by one; `indices` in the data set (with a leading axis: of many seeds).

    Attributes:
        probe: the first `measure.probe`.
        batch: the first `train.batch_size`.
        after: as many after these; from the first on, where there are no more.
    """

    probe: Int32[Array | np.ndarray, "*seeds probe"]
    batch: Int32[Array | np.ndarray, "*seeds batch"]
    after: Int32[Array | np.ndarray, "*seeds batch"]


def all_parts(split: Split, size: int, most: int | None = None) -> tuple[Passes, int]:
    """All examples in passes of at most `size`, and how many of the passes have those that always are evaluated.

    These are `most` of each part, at random places: the same for all lanes of a seed.
    """
    few, others = _divided(split, most)
    n = sum(part.shape[-1] for part in few)
    passes = -(-n // size)
    dealt = [_in_passes(some, -(-n // passes)) for some in (few, others) if some]
    return Passes(*(np.concatenate(arrays, -2) for arrays in zip(*dealt, strict=True))), passes


def training_set(split: Split, size: int) -> Passes:
    """The training examples in passes of at most `size`."""
    n = split.train.shape[-1]
    return _in_passes([split.train], -(-n // -(-n // size)))


def in_batches(split: Split, size: int) -> tuple[Passes, int]:
    """All examples in batches of `size` of one part, and how many of these are of the training examples, the first.

    The number k of batches of a part is the least that holds it; batch i has the examples i, i + k, i + 2k, … of the
    part, so that the order of the data does not matter. Where the part does not fill its batches, they are filled up
    with examples of the same part, which join in the statistics, but are counted only once.
    """
    dealt = []
    for owner, part in enumerate(split):
        n = part.shape[-1]
        k = -(-n // size)
        places = np.arange(k)[:, None] + k * np.arange(size)[None]
        owners = np.where(places < n, owner, NOWHERE).astype(np.int8)
        dealt.append(Passes(part[..., places % max(n, 1)], np.broadcast_to(owners, (*part.shape[:-1], k, size))))
    return Passes(*(np.concatenate(arrays, -2) for arrays in zip(*dealt, strict=True))), dealt[0].indices.shape[-2]


def chosen(split: Split, probe: int, batch: int) -> Chosen:
    """The training examples that a lane is probed with."""
    train, n = split.train, split.train.shape[-1]
    return Chosen(train[..., :probe], train[..., :batch], train[..., (batch + np.arange(min(batch, n))) % n])


def _divided(
    split: Split, most: int | None
) -> tuple[Sequence[Int32[np.ndarray, "*seeds _"]], Sequence[Int32[np.ndarray, "*seeds _"]]]:
    """Of each part `most` examples, and the others; all, and nothing, where there are no more."""
    if most is None or all(part.shape[-1] <= most for part in split):
        return split, []
    orders = [permutation(part.shape[-1], "measured", 0) for part in split]
    few = [part[..., np.sort(order[:most])] for part, order in zip(split, orders, strict=True)]
    return few, [part[..., np.sort(order[most:])] for part, order in zip(split, orders, strict=True)]


def _in_passes(parts: Sequence[Int32[np.ndarray, "*seeds _"]], size: int) -> Passes:
    """The examples of all `parts`, in the order of the data set; what fills up is of none.

    So the same passes of all seeds are of the same stretch of a file, which is read once for all of them.
    """
    together = np.concatenate(parts, -1)
    *seeds, n = together.shape
    passes = -(-n // size)
    order = np.argsort(together, -1, kind="stable")
    indices = np.zeros((*seeds, passes * size), np.int32)
    owners = np.full((*seeds, passes * size), NOWHERE, np.int8)
    indices[..., :n] = np.take_along_axis(together, order, -1)
    owners[..., :n] = np.repeat(np.arange(len(parts), dtype=np.int8), [part.shape[-1] for part in parts])[order]
    return Passes(indices.reshape(*seeds, passes, size), owners.reshape(*seeds, passes, size))
