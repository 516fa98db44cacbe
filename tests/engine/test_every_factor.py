"""Lanes at levels of all traced factors, many in one program and each in its own, against a training in NumPy."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from bn_ablate.config import LaneSettings
from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.engine.lanewise import Strategy
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.train import init_state, loss_fn
from bn_ablate.nn import Factors, stack_factors
from tests.config.levels import LEVELS
from tests.engine import reference, small


def hold_to_numpy(lanes: list[LaneSettings], strategy: Strategy = "vmap") -> Program:
    """Train `lanes` in one program, and each of them in NumPy; the program."""
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    factors = stack_factors(lanes, program.structure)
    start, end = small.train(program, factors, 4, strategy)
    batches, after = small.batches(program, 4), small.batches(program, 5)[-1:]
    given = [(np.asarray(batch.x, float).reshape(small.BATCH, -1), np.asarray(batch.y)) for batch in batches + after]
    noise = [batch.noise or small.silence(program) for batch in batches]
    noises = [batch.noises or {} for batch in batches]
    for i, settings in enumerate(lanes):
        message = str(settings.model_dump(exclude_defaults=True))
        params = jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], float), start.params)
        want, stats, losses = reference.train(settings, params, given, *jax.tree.map(np.asarray, (noise, noises)))
        assert float(end.loss_sum[i]) == pytest.approx(sum(losses), rel=1e-4), message
        for name, leaf in small.lane(end.params, i).items():
            np.testing.assert_allclose(leaf, small.leaves(want)[name], rtol=1e-2, atol=2e-4, err_msg=message + name)
        for name, leaf in small.lane(end.batch_stats, i).items():
            np.testing.assert_allclose(leaf, small.leaves(stats)[name], rtol=1e-3, atol=1e-4, err_msg=message + name)
    return program


KINDS = ("batch", "layer", "group", "rms", "mean_only", "variance_only", "batch_renorm", "fixed", "dyt")


@pytest.mark.parametrize(
    ("strategy", "norm_batch_size", "kinds"),
    [
        ("map", 4, KINDS[:2]),
        pytest.param("map", 4, KINDS, marks=pytest.mark.slow),
        pytest.param("vmap", None, KINDS[:1], marks=pytest.mark.slow),
    ],
    ids=["map, two normalizers", "map, all normalizers", "vmap, BN"],
)
def test_all_factors_at_once_against_numpy(
    strategy: Strategy, norm_batch_size: int | None, kinds: tuple[str, ...]
) -> None:
    # in a ReLU network an input that rounds to the other side of zero is no rounding error any more
    base, smooth = {"norm_batch_size": norm_batch_size}, ("sigmoid", "tanh")
    lanes = small.random_lanes(60, base, activation=smooth, norm_kind=("batch",))
    if len(kinds) > 1:
        # statistics of a few values, of which dropout may leave none, make gradients that no number could follow
        calm = {"bn_epsilon": (0.01, 0.1), "learning_rate": (0.01, 0.1)}
        lanes += small.random_lanes(60, base, activation=smooth, norm_kind=kinds, **calm)
    structure = hold_to_numpy(lanes, strategy).structure
    assert structure.norm_kinds == kinds
    assert structure.normed == structure.input_normed == "some"
    assert structure.drop_sites == ("block", "last", "before_norm", "ic")
    assert structure.drop_kinds == ("bernoulli", "uniform")


ALONE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"placement": "post", "dropout_site": "last"}, {"drop_sites": ("last",), "normed": "all"}),
    ({"placement": "pre", "dropout_site": "before_norm"}, {"drop_sites": ("before_norm",), "normed": "all"}),
    ({"placement": "post", "dropout_site": "before_norm", "coverage": "first"}, {"normed": "some"}),
    ({"placement": "none", "dropout_site": "before_norm"}, {"normed": "none"}),
    ({"placement": "post", "dropout_site": "ic", "dropout_kind": "uniform"}, {"input_normed": "all"}),
    ({"placement": "none", "dropout_site": "ic"}, {"input_normed": "none", "normed": "none"}),
    ({"placement": "pre", "dropout_site": "ic", "coverage": "none"}, {"input_normed": "none", "normed": "none"}),
    ({"coverage": "input", "dropout_rate": 0.0, "trainable": "affine_only"}, {"input_normed": "all", "drop_sites": ()}),
    ({"dropout_site": "ic", "dropout_rate": 0.0, "norm_batch_size": 2}, {"input_normed": "all", "drop_sites": ()}),
]

ASKED_ELSEWHERE = (1, 2, 3, 5, 6, 7, 8)
"""What is known before is asked of each by itself here; of lanes beside others above, and in tests/nn/test_seams.py."""


@pytest.mark.parametrize(
    ("levels", "known"),
    [
        pytest.param(
            *case, marks=pytest.mark.slow if i in ASKED_ELSEWHERE else [], id="-".join(map(str, case[0].values()))
        )
        for i, case in enumerate(ALONE)
    ],
)
def test_a_lane_alone_against_numpy(levels: dict[str, Any], known: dict[str, Any]) -> None:
    """Where there is nothing to choose from, the program is another one: what is known before is not asked again."""
    structure = hold_to_numpy([small.BASE.at({"dropout_rate": 0.3} | levels)]).structure
    assert {name: getattr(structure, name) for name in known} == known


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "depth"), [("cnn", 2), ("resnet", 5)])
def test_the_loss_gradient_of_convolutional_networks_against_finite_differences(architecture: str, depth: int) -> None:
    """Along a direction that has a part in every parameter, for lanes at levels of all factors; without max-pooling,
    whose kinks are everywhere.
    """
    base = {"architecture": architecture, "depth": depth, "width": 2, "norm_batch_size": 4}
    # what a normalizer looks at of what it keeps passes no gradient, by definition: nn/test_normalizers.py has those
    kinds = tuple(kind for kind in LEVELS["norm_kind"] if not NORMALIZERS[kind].looks_back)
    # nor is a gradient that leaves some statistics out that of the loss
    levels = {"norm_kind": kinds, "norm_gradient": ("full",)}
    lanes = small.random_lanes(60, base, activation=("sigmoid", "tanh", "gelu"), **levels)
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    factors = stack_factors(lanes, program.structure)
    (batch,) = small.batches(program, 1)
    draw = np.random.default_rng(0)

    def loss(lane: Factors, params: Any, stats: Any) -> Any:
        return loss_fn(program, lane, params, stats, batch)[0]

    states = jax.vmap(lambda lane: init_state(program, 0, lane))(factors)
    along = jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), states.params)
    got = jax.jit(jax.vmap(jax.grad(loss, 1)))(factors, states.params, states.batch_stats)
    there, back = (
        jax.jit(jax.vmap(loss))(
            factors, jax.tree.map(lambda leaf, v, h=h: leaf + h * v, states.params, along), states.batch_stats
        )
        for h in (1e-4, -1e-4)
    )
    slopes = sum(
        (np.asarray(g) * v).reshape(len(lanes), -1).sum(1)
        for g, v in zip(jax.tree.leaves(got), jax.tree.leaves(along), strict=True)
    )
    np.testing.assert_allclose((np.asarray(there) - np.asarray(back)) / 2e-4, slopes, rtol=1e-2, atol=1e-2)
