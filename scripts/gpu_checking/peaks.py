"""The memory that a shard was thought to take, what XLA says of its program, and the peak that the device reports."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from bn_ablate.config import build_study
from bn_ablate.data import Dataset
from bn_ablate.data.dataset import fingerprint
from bn_ablate.engine import Engine, shards_of
from bn_ablate.plan import make_plan
from bn_ablate.plan.memory import PROGRAM_BYTES, shard_bytes
from gpu_checking.section import Section, set_up_jax

EXAMPLES = 1024
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], int]] = {
    "MLP 3×128, 96 lanes": ((8, 8, 1), {"architecture": "mlp", "depth": 3, "width": 128}, 8),
    "CNN 5×16 on 32×32×3, 24 lanes": ((32, 32, 3), {"architecture": "cnn", "depth": 5, "width": 16}, 2),
    "ResNet-20 on 32×32×3, 24 lanes": ((32, 32, 3), {"architecture": "resnet", "depth": 19, "width": 16}, 2),
}
"""Images, network, seeds; from the least to the most, since a device keeps its highest peak alone."""


def run(section: Section) -> None:
    """Report each case."""
    set_up_jax(section.platform, section.folder / "programs")
    for title in CASES:
        section.attempt(title, partial(_peak, section, title), 10)


def _peak(section: Section, title: str) -> dict[str, Any]:
    image, model, seeds = CASES[title]
    if section.tiny:
        image, seeds = (8, 8, image[2]), 1
        model = model | {"depth": 3, "width": 4}
    table = {
        "name": "peaks",
        "seeds": seeds,
        "data": {"n_train": EXAMPLES // 2, "n_validation": EXAMPLES // 4},
        "model": model,
        "train": {"steps": 4, "batch_size": 128, "learning_rate": 0.01},
        "measure": {"every": 4},
        "axes": {
            "placement": ["none", "pre", "post"],
            "activation": ["relu", "gelu"],
            "dropout_rate": [0.0, 0.3],
        },
    }
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (EXAMPLES, *image), np.uint8)
    labels = rng.integers(0, 10, EXAMPLES).astype(np.int32)
    dataset = Dataset("random", "1.0.0", images, labels, 10, EXAMPLES, fingerprint(images, labels))
    engine = Engine(dataset)
    plan = make_plan(build_study(table))
    (shard,) = shards_of(plan, max_lanes=plan.n_lanes)
    device = jax.devices()[0]
    before = (device.memory_stats() or {}).get("peak_bytes_in_use")
    engine.run(shard)
    after = (device.memory_stats() or {}).get("peak_bytes_in_use")
    settings = shard.cells[0].settings
    estimate = shard_bytes(settings, len(shard.lane_ids), len(shard.seeds), engine.machine(), engine.dataset.extent)
    programs = engine._compiled(engine._wanted(shard)[0])
    memory = [each.result().memory_analysis() for each in (*programs.looks.values(), programs.measure, programs.train)]
    return {
        "lanes": len(shard.lane_ids),
        "strategy": engine.strategy,
        "estimated_bytes": estimate,
        "process_bytes": PROGRAM_BYTES,
        "xla_bytes": {
            part: max(getattr(each, f"{part}_size_in_bytes", 0) for each in memory)
            for part in ("temp", "argument", "output", "alias")
        },
        "peak_before": before,
        "peak_bytes": after,
        "compile_seconds": engine.timing.compile_seconds,
    }
