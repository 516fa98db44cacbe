"""How much memory a plan takes, before it runs."""

from __future__ import annotations

import math

from bn_ablate.config.lane import LaneSettings
from bn_ablate.plan import Plan

FLOAT = 4
PROGRAM_BYTES = 400 * 2**20
"""What the process takes before there is any lane: Python, JAX, the compiler."""


def lane_bytes(settings: LaneSettings, features: int = 64, classes: int = 10) -> int:
    """The state of one lane: parameters, moving statistics, and the optimizer's moments."""
    width, depth = settings.model.width, settings.model.depth
    kernels = features * width + (depth - 1) * width * width + width * classes
    vectors = 5 * depth * width + classes
    moments = {
        "sgd": bool(settings.train.momentum),
        "adam": 2,
        "adamw": 2,
        "rmsprop": 1 + bool(settings.train.momentum),
    }
    return FLOAT * ((kernels + vectors) * (1 + moments[settings.train.optimizer]))


def estimate_bytes(plan: Plan, lanes_per_shard: int = 256) -> int:
    """The peak of a run: the process, and the states of the largest shard, which exist twice between two segments."""
    most = 0
    for group in plan.groups:
        cells = min(len(group.cells), max(1, lanes_per_shard // len(plan.seeds)))
        settings = group.settings
        made_ahead = (
            settings.train.batch_size
            * math.prod((settings.model.depth, settings.model.width))
            * 2
            * settings.measure.every
        )
        most = max(most, cells * len(plan.seeds) * 2 * lane_bytes(settings) + made_ahead)
    return PROGRAM_BYTES + most
