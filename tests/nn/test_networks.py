"""Descriptions and the modules that run them say the same; a module of one's own is a network like any other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

import bn_ablate as bn
from bn_ablate.config.architectures import NETWORKS, BlockSpec, NetworkSpec, layout_of, network
from bn_ablate.config.training_keys import Train
from bn_ablate.engine.optimizers import rate_shape
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import init_state
from bn_ablate.measure.losses import cross_entropy
from bn_ablate.nn import Network, Structure, lane_factors, make_network
from bn_ablate.nn.networks import max_pool, traced_layout
from tests.engine import small


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Afterwards only ours are registered."""
    yield
    for name in set(NETWORKS) - set(NETWORKS.own):
        NETWORKS.remove(NETWORKS.origin(name))  # type: ignore[arg-type]


def ladder(image: tuple[int, ...], depth: int, width: int) -> NetworkSpec:
    """A shortcut over each block: of images, then, of twice as many units, of vectors."""
    blocks = [BlockSpec("conv3x3", width, stride=2, pool=True), BlockSpec("conv3x3", width, shortcut=1)]
    units = [BlockSpec("dense", 2 * width), BlockSpec("dense", 4 * width, shortcut=1)]
    return NetworkSpec((*blocks, *units))


@pytest.mark.parametrize(
    ("name", "depth"),
    [("mlp", 2), ("cnn", 1), ("cnn", 4), ("cnn", 6), ("resnet", 3), ("resnet", 9), ("resnet_preact", 5), ("ladder", 4)],
)
@pytest.mark.parametrize("image", [(8, 8, 1), (9, 13, 3)])
def test_a_description_has_the_shapes_that_its_module_has(name: str, depth: int, image: tuple[int, ...]) -> None:
    """Parameters, what each block gives, where shortcuts end, how examples enter."""
    network("ladder")(ladder)
    settings = small.BASE.at({"architecture": name, "depth": depth, "width": 4})
    made = make_network(settings.model, image, 7, Structure.of([settings]), native=False, dtype=jnp.dtype("float32"))
    assert traced_layout(made, image) == settings.model.layout(image, 7)


class Clone(Network):
    """The `mlp`, written as a module."""

    @nn.compact
    def __call__(self, x: Any, factors: Any, noise: Any = None, *, train: bool) -> Any:
        """The logits."""
        x = self.enter(x.reshape(len(x), -1), factors, noise, train=train)
        for i in range(self.depth):
            x = self.block(i, self.dense(self.width), x, factors, noise, train=train)
        return self.head(x)


def begun(name: str) -> Any:
    """Initial values, random bits and logits of one lane that drops, BN and dropout of its input included."""
    lanes = [small.BASE.at({"architecture": name, "dropout_rate": 0.3, "dropout_site": "ic"})]
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    lane = lane_factors(lanes[0], program.structure)
    (batch,) = small.batches(program, 1)

    @jax.jit
    def start() -> Any:
        state = init_state(program, 0, lane)
        given = {"params": state.params, "batch_stats": state.batch_stats}
        logits, _ = program.network.apply(given, batch.x, lane, batch.noise, train=True, mutable=["batch_stats"])
        return state.params, logits

    return small.leaves((start(), batch.noise))


def test_a_module_built_from_blocks_is_the_network_that_it_builds() -> None:
    """To the bit."""
    network("clone")(Clone)
    assert layout_of("clone", 3, 4, small.IMAGE, 3) == layout_of("mlp", 3, 4, small.IMAGE, 3)
    clone, mlp = begun("clone"), begun("mlp")
    assert clone.keys() == mlp.keys()
    for path, leaf in clone.items():
        np.testing.assert_array_equal(leaf, mlp[path], err_msg=path)


class Short(Clone):
    """One block, however many are asked for."""

    @nn.compact
    def __call__(self, x: Any, factors: Any, noise: Any = None, *, train: bool) -> Any:
        """The logits."""
        x = self.enter(x.reshape(len(x), -1), factors, noise, train=train)
        return self.head(self.block(0, self.dense(self.width), x, factors, noise, train=train))


def test_a_module_without_the_blocks_that_depth_counts_is_refused() -> None:
    network("short")(Short)
    study = bn.build_study({"name": "x", "model": {"architecture": "short", "depth": 3}})
    with pytest.raises(bn.ConfigError, match=r"depth: = 3 does not fit Short, which makes no block_1, block_2"):
        bn.make_plan(study)


def test_factors_of_residuals_act_where_a_description_has_shortcuts() -> None:
    network("ladder")(ladder)
    axes = {"residual_norm": ["before_add", "after_add"]}
    assert (
        len(
            bn.make_plan(bn.build_study({"name": "x", "model": {"architecture": "ladder", "depth": 4}, "axes": axes}))
            .groups[0]
            .cells
        )
        == 2
    )
    with pytest.raises(bn.ConfigError, match="residual_norm"):
        bn.make_plan(bn.build_study({"name": "x", "model": {"architecture": "cnn", "depth": 4}, "axes": axes}))


def test_images_that_a_network_does_not_take_are_named(tmp_path: Any) -> None:
    network("ladder")(ladder)
    study = bn.build_study({"name": "x", "model": {"architecture": "ladder", "depth": 4}})
    data = bn.Dataset.from_arrays(np.zeros((90, 2, 2, 1), np.uint8), np.arange(90) % 2)
    with pytest.raises(
        bn.ConfigError, match=r"model.architecture: = ladder does not take the images of arrays: block 0"
    ):
        bn.run(study, tmp_path, data=data)
    assert not list(tmp_path.iterdir())


def test_tests_check_the_shapes_that_annotations_state() -> None:
    """Of each room that is numerical, a function given an array of another shape or type."""
    with pytest.raises(TypeCheckError, match="max_pool"):
        max_pool(jnp.zeros((2, 2)))
    with pytest.raises(TypeCheckError, match="cross_entropy"):
        cross_entropy(jnp.zeros((3, 2)), jnp.zeros(4, jnp.int32))
    with pytest.raises(TypeCheckError, match="rate_shape"):
        rate_shape(Train(), jnp.zeros(2, jnp.int32))
