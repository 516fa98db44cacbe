"""What an engine says: how far it is, where its time went, and what came of a shard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from bn_ablate.engine.kept import Weights
from bn_ablate.engine.observe import Observation
from bn_ablate.engine.shards import Shard
from bn_ablate.engine.train import TrainState


class Progress(NamedTuple):
    """Where a run stands: lane-steps done in this shard, seconds spent on them, and lanes that have diverged so far.

    `batch_loss` is (seeds, cells), the mean batch loss of each lane since it was last measured.
    """

    lane_steps: int
    seconds: float
    diverged: int
    batch_loss: np.ndarray | None = None


@dataclass
class Timing:
    """Where the time of an engine went.

    Attributes:
        compile_seconds: waiting for programs to be traced, compiled or loaded.
        train_seconds: running the compiled programs, measurements included.
        lane_steps: training steps done, over all lanes.
        resumed: lane-steps that had been done before, and were resumed from.
        programs: different programs that lanes were trained by.
    """

    compile_seconds: float = 0.0
    train_seconds: float = 0.0
    lane_steps: int = 0
    resumed: int = 0
    programs: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a shard.

    Attributes:
        shard: the shard.
        steps: the measured steps, first 0 and last the end of training.
        observations: leaves with leading axes (times, seeds, cells).
        diverged_at: (seeds, cells), −1 where the lane did not diverge.
        chance: (seeds,), the share of the commonest class among the training examples.
        states: the final states, leading axes (seeds, cells), when asked for.
        weights: those that were kept, by what for.
        moments: mean and standard deviation that images were standardized with, leading axis (seeds).
    """

    shard: Shard
    steps: tuple[int, ...]
    observations: Observation
    diverged_at: np.ndarray
    chance: np.ndarray
    states: TrainState | None = None
    weights: dict[str, Weights] = field(default_factory=dict)
    moments: tuple[np.ndarray, np.ndarray] | None = None


def measured_steps(steps: int, every: int) -> tuple[int, ...]:
    """0, every, 2·every, …, and `steps`."""
    return (*range(0, steps, every), steps)
