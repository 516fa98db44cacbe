"""How much disk a plan's results take, before it runs: an upper bound, from the rows and columns of their tables."""

from __future__ import annotations

import math

from bn_ablate.config.architectures import Extent
from bn_ablate.config.measures import SITES
from bn_ablate.config.metrics import columns_with
from bn_ablate.plan.grid import Plan
from bn_ablate.plan.memory.estimate import FLOAT, weights_bytes

NUMBER_BYTES, COUNTS = 8, 102
"""Bytes of a number before it is compressed, and bins of a histogram."""

KEYS = 5
"""Columns that say which lane, step, layer and site a row is of."""

SHARD_BYTES = 48 * 1024
"""What a shard takes besides its rows: the heads of four Parquet files, its record and its checksums."""

TENSORS, NAME_BYTES, LANE_BYTES = 6, 160, 4096
"""Tensors of a block whose weights are kept, what a file of them says of each, and of each lane's network."""

REPORT_BYTES = 2 * 2**20
"""Report, figures, tables and manifest of a study of some hundred lanes."""


def disk_bytes(plan: Plan, shards: int, extent: Extent) -> int:
    """What the results of `plan` take at most, in so many `shards`: rows twice, there and published, and kept weights.

    W&B's offline runs and checkpoints, which go when a shard is done, are not in it.
    """
    columns = {table: len(of) + KEYS for table, of in columns_with(()).items()}
    keep, pixels = plan.study.measure.keep, math.prod(extent.image)
    numbers = weights = 0
    for group in plan.groups:
        settings = group.settings
        layers = len(settings.model.layout(extent.image, extent.classes).layers)
        for cell in group.cells:
            train, measure = cell.settings.train, cell.settings.measure
            times = 1 + -(-train.steps // measure.every)
            moments = len({*keep} - {"measured"}) + times * ("measured" in keep)
            tensors = weights_bytes(cell.settings, extent) + 2 * FLOAT * pixels
            weights += moments * (tensors + (TENSORS * layers + 4) * NAME_BYTES) + LANE_BYTES * bool(keep)
            a_lane = columns["lanes"] + times * (columns["history"] + layers * columns["layers"])
            numbers += a_lane + 2 * layers * len(SITES) * (columns["histograms"] + COUNTS)
    return REPORT_BYTES + shards * SHARD_BYTES + (2 * NUMBER_BYTES * numbers + weights) * len(plan.seeds)
