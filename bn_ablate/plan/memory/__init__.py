"""How much memory a plan takes before it runs, how many lanes fit into what there is, and what the machine has."""

from bn_ablate.plan.memory.estimate import (
    BLOCK_BYTES,
    COMPILER_BYTES,
    PROGRAM_BYTES,
    SHARE,
    Machine,
    count_shards,
    estimate_bytes,
    lane_bytes,
    lanes_that_fit,
    resident_bytes,
    shard_bytes,
    shard_shape,
    streams,
)

__all__ = [
    "BLOCK_BYTES",
    "COMPILER_BYTES",
    "PROGRAM_BYTES",
    "SHARE",
    "Machine",
    "count_shards",
    "estimate_bytes",
    "lane_bytes",
    "lanes_that_fit",
    "resident_bytes",
    "shard_bytes",
    "shard_shape",
    "streams",
]
