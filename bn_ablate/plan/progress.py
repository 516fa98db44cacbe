"""Where a run of a plan stands: what progress bars, W&B and callers are given while it trains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from bn_ablate.plan.grid import Cell

if TYPE_CHECKING:
    import numpy as np


class RunProgress(NamedTuple):
    """Where a run stands.

    Attributes:
        lanes: lanes finished, those of earlier runs included.
        lanes_planned: lanes of the plan.
        lane_steps: training steps done in this run, over all lanes.
        lane_steps_planned: those that this run has to do.
        seconds: spent on training in this run.
        diverged: lanes that diverged in this run.
        cells: those in training.
        batch_loss: (seeds, cells), the mean batch loss of each lane in training since it was last measured.
    """

    lanes: int
    lanes_planned: int
    lane_steps: int
    lane_steps_planned: int
    seconds: float
    diverged: int
    cells: tuple[Cell, ...] = ()
    batch_loss: np.ndarray | None = None

    @property
    def share(self) -> float:
        """How much of its training steps this run has done, from 0 to 1."""
        return self.lane_steps / max(self.lane_steps_planned, 1)

    @property
    def state(self) -> str:
        """Lanes, speed, time left, the mean loss of the lanes in training and how many diverged, on one line."""
        rate = self.lane_steps / self.seconds if self.seconds else 0.0
        left = (self.lane_steps_planned - self.lane_steps) / rate if rate else 0.0
        finite = [] if self.batch_loss is None else [loss for loss in self.batch_loss.flat if math.isfinite(loss)]
        said = [f"{self.lanes}/{self.lanes_planned} lanes", f"{rate:,.0f} lane-steps/s", f"{clock(left)} left"]
        said += [f"loss {math.fsum(finite) / len(finite):.3g}"] if finite else []
        said += [f"{self.diverged} diverged"] if self.diverged else []
        return " · ".join(said)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
