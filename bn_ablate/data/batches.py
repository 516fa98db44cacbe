"""The order of the batches: an endless stream of shuffled epochs, cut into batches."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int32

from bn_ablate.data.permutation import permutation


def batch_indices(
    n_train: int, batch_size: int, seed: int, start: int, steps: int
) -> Int32[np.ndarray, "steps batch_size"]:
    """The batches of steps `start` to `start + steps - 1`, as positions into the training split.

    Epoch e is a permutation of 0, …, n_train - 1 fixed by `(seed, e)`. The batch of step t is the stretch
    `[t * batch_size, (t + 1) * batch_size)` of all epochs laid end to end: every example comes once an epoch and none
    is lost to a remainder. A batch may reach over the end of an epoch, and may be larger than one. The batch of a step
    does not depend on `start` or `steps`.

    Raises:
        ValueError: `n_train`, `batch_size` or `steps` is below 1, or `start` or `seed` below 0.
    """
    if min(n_train, batch_size, steps) < 1 or min(start, seed) < 0:
        raise ValueError(
            f"no batches for n_train = {n_train}, batch_size = {batch_size}, steps = {steps}, start = {start}, "
            f"seed = {seed}: the first three are at least 1, the others at least 0"
        )
    begin, end = start * batch_size, (start + steps) * batch_size
    first_epoch, last_epoch = begin // n_train, (end - 1) // n_train
    stream = np.concatenate([_order(n_train, seed, epoch) for epoch in range(first_epoch, last_epoch + 1)])
    offset = begin - first_epoch * n_train
    return stream[offset : offset + end - begin].reshape(steps, batch_size)


@lru_cache(maxsize=16)  # batches are asked for stretch by stretch
def _order(n_train: int, seed: int, epoch: int) -> Int32[np.ndarray, " n_train"]:
    """The order of the training examples in one epoch."""
    return permutation(n_train, "batches", seed, epoch).astype(np.int32)
