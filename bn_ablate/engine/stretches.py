"""The batches of training, by stretches of steps: the examples of one are read while another is in use."""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Int32

from bn_ablate.data import Split, batch_indices
from bn_ablate.engine.examples import Examples
from bn_ablate.engine.feed import Ahead, Feed
from bn_ablate.engine.program import Program


def batches_of(
    program: Program, split: Split, seeds: list[int], start: int, room: int
) -> Int32[np.ndarray, "seeds room batch"]:
    """For each seed, where in the data set the examples of `room` steps from `start` on are; perhaps of one more."""
    steps, size, n = room + program.structure.others, program.train.batch_size, split.train.shape[1]
    return np.stack([split.train[i][batch_indices(n, size, seed, start, steps)] for i, seed in enumerate(seeds)])


class Stretches:
    """The examples of a shard's training, step by step.

    A stretch begins at each measured step, and every `room` steps from there on.
    """

    def __init__(
        self,
        feed: Feed,
        reading: Ahead,
        program: Program,
        split: Split,
        seeds: list[int],
        room: int,
        measured: tuple[int, ...],
    ) -> None:
        """Give those of `seeds` from `feed`, which is used beside, in `reading`."""
        self._feed, self._reading = feed, reading
        self._given = (program, split, seeds)
        self._room = room
        between = pairwise(measured)
        self._begins = [begin for start, stop in between for begin in range(start, stop, room)]
        self._now: tuple[int, Examples, Any] | None = None

    def at(self, step: int) -> tuple[Examples, Any]:
        """Examples, and where those of each batch from `step` on are among them, with room for a whole stretch.

        Those of the steps after the stretch are no batches.
        """
        place = bisect_right(self._begins, step) - 1
        begin, after = self._begins[place], self._begins[place + 1 : place + 2]
        if self._now is None or self._now[0] != begin:
            following = (after[0], partial(self._stretch, after[0])) if after else None
            self._now = (begin, *self._reading.get(begin, partial(self._stretch, begin), following))
        _, examples, indices = self._now
        return examples, np.roll(indices, begin - step, 1)

    def _stretch(self, begin: int) -> tuple[Examples, Any]:
        return self._feed.give(batches_of(*self._given, begin, self._room))
