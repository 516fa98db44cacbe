"""Every network's training program can be lowered for GPUs and TPUs, without having either."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import Dataset
from bn_ablate.data.dataset import fingerprint
from bn_ablate.engine import Engine, lanes, shards_of
from bn_ablate.engine.examples import Examples
from bn_ablate.engine.lanes import Segment
from bn_ablate.nn import stack_factors
from bn_ablate.plan import make_plan

NETWORKS = {"mlp": 2, "cnn": 3, "resnet": 3}
PLATFORMS = ("cuda", "tpu")


def random_images() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8, 1), np.uint8)
    labels = np.arange(60, dtype=np.int32) % 3
    return Dataset("random", "1.0.0", images, labels, 3, 60, fingerprint(images, labels))


@pytest.mark.parametrize(("strategy", "convolution"), [("vmap", "native"), ("map", "matmul")])
@pytest.mark.parametrize("architecture", NETWORKS)
def test_a_segment_lowers_for_gpus_and_tpus(architecture: str, strategy: Any, convolution: str) -> None:
    """Training and measuring, as `Engine.run` calls it."""
    model = {"architecture": architecture, "depth": NETWORKS[architecture], "width": 4, "convolution": convolution}
    data = {"n_train": 20, "n_validation": 20, "n_test": 20}
    axes = {"dropout_rate": [0.0, 0.3]}
    table = {"name": "lowered", "seeds": 1, "data": data, "model": model, "train": {"batch_size": 4}, "axes": axes}
    (shard,) = shards_of(make_plan(bn.build_study(table)))
    engine = Engine(random_images(), strategy, jax.local_devices()[:1])
    program, layout = engine.program(shard), engine._layout(1, shard.room)
    factors = stack_factors([cell.settings for cell in shard.cells], program.structure.activations)
    seeds = engine._seed_examples(shard, [0])
    begin = jax.jit(lanes.initial_on_mesh(program, layout))
    states = jax.eval_shape(begin, seeds.seed, factors)
    scalars = np.int32(0), np.int32(1), np.bool_(True), np.bool_(True)
    segment = Segment(np.zeros((1, 2, program.batch_size), np.int32), *scalars)  # type: ignore[arg-type]
    train = jax.jit(lanes.on_mesh(program, strategy, layout))
    examples = Examples(*engine._examples)
    exported = jax.export.export(train, platforms=PLATFORMS)(examples, seeds, factors, states, segment)
    assert exported.platforms == PLATFORMS
    assert jax.tree.leaves(exported.out_avals)
