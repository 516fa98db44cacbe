"""Every network's training program lowers for GPUs and TPUs, at its precision, without having either."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import Dataset
from bn_ablate.data.dataset import fingerprint
from bn_ablate.engine import DeviceError, Engine, many_lanes, set_up, shards_of
from bn_ablate.engine.devices import is_accelerator
from bn_ablate.engine.program import program_of
from bn_ablate.engine.shards import Shard
from bn_ablate.nn import stack_factors
from bn_ablate.plan import make_plan
from tests.engine import small

NETWORKS = {"mlp": 2, "cnn": 3, "resnet": 3}
PLATFORMS = ("cuda", "tpu")


def random_images() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 8, 8, 1), np.uint8)
    labels = np.arange(60, dtype=np.int32) % 3
    return Dataset("random", "1.0.0", images, labels, 3, 60, fingerprint(images, labels))


@pytest.mark.parametrize(
    ("architecture", "strategy", "convolution"),
    [
        ("cnn", "vmap", "native"),
        *(pytest.param(name, "vmap", "native", marks=pytest.mark.slow) for name in ("mlp", "resnet")),
        *(pytest.param(name, "map", "matmul", marks=pytest.mark.slow) for name in ("mlp", "cnn", "resnet")),
    ],
)
def test_a_segment_lowers_for_gpus_and_tpus(architecture: str, strategy: Any, convolution: str) -> None:
    """Training and measuring, as `Engine.run` calls it; float32 is float32, which no device's default is."""
    exported = lowered(architecture, strategy, convolution, "float32")
    assert exported.platforms == PLATFORMS
    assert jax.tree.leaves(exported.out_avals)
    assert precisions(exported) == {"HIGHEST"}


def test_a_device_that_there_is_not_is_answered_with_those_there_are() -> None:
    with pytest.raises(DeviceError, match="'gpu' is none of auto, cpu, cuda, tpu; an NVIDIA GPU is 'cuda'"):
        set_up("gpu")


@pytest.mark.parametrize(
    ("architecture", "precision", "said"),
    [
        ("mlp", "tensorfloat32", "HIGH"),
        *(
            pytest.param("cnn", *case, marks=pytest.mark.slow)
            for case in (("tensorfloat32", "HIGH"), ("bfloat16", "DEFAULT"))
        ),
    ],
)
def test_products_and_convolutions_run_at_the_precision_of_the_study(
    architecture: str, precision: str, said: str
) -> None:
    """Whatever JAX's default is where the program is traced."""
    assert precisions(lowered(architecture, "vmap", "native", precision, default="highest")) == {said}


@pytest.mark.slow
@pytest.mark.skipif(is_accelerator(jax.devices()[0]), reason="is about the CPU")
def test_on_a_cpu_tensorfloat32_is_float32_to_the_bit() -> None:
    base = small.BASE.at({"architecture": "cnn", "depth": 2, "width": 4, "dropout_rate": 0.3})
    lanes = [base.at({"placement": placement}) for placement in ("none", "pre")]
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    factors = stack_factors(lanes, program.structure)
    _, exact = small.train(program, factors, 2)
    rounded = program.train.model_copy(update={"precision": "tensorfloat32"})
    _, coarse = small.train(replace(program, train=rounded), factors, 2)
    jax.tree.map(np.testing.assert_array_equal, exact, coarse)


def precisions(exported: jax.export.Exported) -> set[str]:
    """Of all products and convolutions of a program, of which there must be many."""
    text = exported.mlir_module()
    operations = re.findall(r"= stablehlo\.(?:dot_general|convolution)\b.*", text)
    assert len(operations) > 10
    return {name for each in operations for name in re.findall(r"\b(?:HIGH|HIGHEST)\b", each) or ["DEFAULT"]}


def one_shard(architecture: str, convolution: str, precision: str) -> Shard:
    """Two lanes of a small network."""
    model = {"architecture": architecture, "depth": NETWORKS[architecture], "width": 4, "convolution": convolution}
    data = {"n_train": 20, "n_validation": 20, "n_test": 20}
    axes = {"dropout_rate": [0.0, 0.3]}
    train = {"batch_size": 4, "steps": 1, "precision": precision}
    table = {"name": "lowered", "seeds": 1, "data": data, "model": model, "train": train, "axes": axes}
    (shard,) = shards_of(make_plan(bn.build_study(table)))
    return shard


def lowered(
    architecture: str, strategy: Any, convolution: str, precision: str, default: str = "default"
) -> jax.export.Exported:
    """Its three programs as one function, for `PLATFORMS`, where JAX has this `default` precision of products."""
    shard = one_shard(architecture, convolution, precision)
    engine = Engine(random_images(), strategy, jax.local_devices()[:1])
    wanted, _ = engine._wanted(shard)
    program, layout = wanted.program, wanted.layout
    begin = jax.jit(many_lanes.initial_on_mesh(program, layout))
    states = jax.eval_shape(begin, wanted.examples, wanted.seeds, wanted.factors, wanted.first)
    seen, block = wanted.blank("scores", states.batch_stats), wanted.block_of("scores")
    look = many_lanes.looking_on_mesh(program, "scores", strategy, layout)
    measure = many_lanes.measuring_on_mesh(program, strategy, layout)
    train = many_lanes.training_on_mesh(program, strategy, layout)

    def all_three(*lanes: Any) -> Any:
        *given, states = lanes
        seeing = look(*given, states.step, states.params, states.batch_stats, block, seen)
        observed = measure(*lanes, wanted.chosen, {"evaluated": seeing}, wanted.segment.measured)
        return observed, train(*lanes, wanted.segment)

    given = (wanted.examples, wanted.seeds, wanted.factors, states)
    with jax.default_matmul_precision(default):
        return jax.export.export(jax.jit(all_three), platforms=PLATFORMS)(*given)
