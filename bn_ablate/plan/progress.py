"""Where a run of a plan stands: what progress bars, W&B and callers are given while it trains."""

from __future__ import annotations

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
