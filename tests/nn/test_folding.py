"""BN that comes or goes in the midst of training: the network computes in evaluation what it did."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bn_ablate as bn
from bn_ablate.config import LaneSettings
from bn_ablate.config.quantity import quantity
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.switching import anew, switched
from bn_ablate.engine.train import TrainState, init_state
from bn_ablate.nn import stack_factors
from tests.engine import small

MLP = [
    {"placement": placement, "norm_kind": kind, **more}
    for placement in ("pre", "post")
    for kind, more in (
        ("batch", {}),
        ("batch", {"coverage": "without_0", "epsilon_on": "deviation", "bn_epsilon": 0.1}),
        ("mean_only", {}),
        ("variance_only", {}),
        ("batch_renorm", {"dropout_rate": 0.5, "dropout_site": "before_norm"}),
    )
]
BN = [levels for levels in MLP if levels["norm_kind"] == "batch"]
NETWORKS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]] = {
    "mlp": ({}, BN, [*BN, {"coverage": "input"}]),
    "mlp, all normalizers": ({}, MLP, [*MLP, {"coverage": "input"}]),
    "cnn": ({"architecture": "cnn"}, MLP[:5], MLP),
    "resnet": ({"architecture": "resnet"}, MLP[:5], [*MLP, {"residual_norm": "after_add"}]),
    "resnet_preact": ({"architecture": "resnet_preact"}, [{"coverage": "only_1"}], [{"placement": "post"}]),
}
"""Network -> settings, those at which BN goes, and those at which it comes."""


def drawn(lanes: list[LaneSettings]) -> tuple[Program, Any, Any]:
    """A program, the factors of its lanes, and states of them with parameters and statistics at random."""
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    factors = stack_factors(lanes, program.structure)
    shapes = jax.eval_shape(partial(init_state, program), 0)
    draw = np.random.default_rng(0)

    def at_random(path: Any, leaf: Any) -> np.ndarray:
        values = draw.normal(0.3, 1.0, (len(lanes), *leaf.shape)).astype(np.float32)
        return np.square(values) + 0.1 if path[-1].key == "var" else values

    params, stats = (jax.tree.map_with_path(at_random, some) for some in (shapes.params, shapes.batch_stats))
    opt = jax.tree.map(lambda leaf: np.ones((len(lanes), *leaf.shape), leaf.dtype), shapes.opt_state)
    counts = {"step": np.full(len(lanes), 3, np.int32), "loss_sum": np.zeros(len(lanes), np.float32)}
    return program, factors, TrainState(params, stats, opt, **counts, diverged_at=np.full(len(lanes), -1, np.int32))


def change(lanes: list[LaneSettings]) -> tuple[Any, Any]:
    """What these lanes give around a step 3 at which BN comes or goes, in evaluation and in training; the states."""
    program, factors, states = drawn(lanes)
    (batch,) = small.batches(program, 1)
    quiet = batch._replace(noise=None)

    def one(lane: Any, state: Any) -> Any:
        before, after = (lane.at(step, program.structure) for step in (2, 3))
        then = switched(program, lane, before, state, quiet)

        def given(at: Any, state: Any, train: bool) -> Any:
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            return program.network.apply(variables, batch.x, at, None, train=train, mutable=["batch_stats"])[0]

        return [[given(before, state, train), given(after, then, train)] for train in (False, True)], then

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(factors, states))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "network", [pytest.param(name, marks=[] if name == "mlp" else pytest.mark.slow) for name in NETWORKS]
)
def test_the_network_computes_what_it_did(network: str) -> None:
    """In evaluation; and, where BN comes, on the training batch too, by whose statistics it comes."""
    base, goes, comes = NETWORKS[network]
    lanes = [small.BASE.at(base | levels | {"norm_until": 3}) for levels in goes]
    lanes += [small.BASE.at(base | levels | {"norm_since": 3}) for levels in comes]
    assert not [problem for lane in lanes for problem in lane.problems() if problem.key.startswith("norm.")]
    ((before, after), training), states = change(lanes)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())
    without, with_norm = (given[len(goes) :] for given in training)
    np.testing.assert_allclose(with_norm, without, rtol=2e-4, atol=2e-4 * np.abs(without).max())
    for name, tree in (("scale", states.params), ("var", states.batch_stats)):
        np.testing.assert_array_equal(tree["block_1"]["norm"][name][: len(goes)], 1.0)
        assert (tree["block_1"]["norm"][name][len(goes) :] != 1.0).mean() > 0.5


def test_the_optimizer_begins_anew_but_for_its_schedule() -> None:
    tx = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(lambda count: -0.1 * count))
    state = tx.init({"kernel": jnp.ones(2)})
    for _ in range(4):
        _, state = tx.update({"kernel": jnp.ones(2)}, state)
    adam, schedule = anew(state, tx.init({"kernel": jnp.zeros(2)}))
    assert (int(adam.count), float(adam.mu["kernel"][0]), int(schedule.count)) == (0, 0.0, 4)


def test_the_steps_in_which_there_is_bn() -> None:
    """Settings that are the same network, and those in which what is said of BN says nothing."""
    at = small.BASE.at({"steps": 10}).at
    assert at({"norm_until": 10}).canonical == at({}).canonical
    assert at({"norm_since": 10}).canonical == at({"placement": "none"}).canonical
    assert at({"norm_since": 10, "placement": "none"}).canonical == at({"placement": "none"}).canonical
    assert at({"norm_since": 4, "scale_init": 0.5, "bias_init": 1.0}).canonical == at({"norm_since": 4}).canonical
    assert at({"norm_since": 4, "frozen_from": 2}).canonical == at({"norm_since": 4, "frozen_from": 4}).canonical
    assert at({"norm_until": 4, "frozen_from": 4}).canonical == at({"norm_until": 4}).canonical
    assert at({"norm_until": 1, "bn_momentum_end": 0.5}).canonical == at({"norm_until": 1}).canonical
    assert at({"norm_until": 4}).canonical != at({}).canonical
    lane = at({"norm_since": 2, "norm_until": 5})
    assert [lane.normalized_after(step) for step in (0, 1, 2, 4, 5, 10)] == [False, False, True, True, False, False]
    asked = lane.model_copy(update={"measure": lane.measure.model_copy(update={"also": ("affine", "mean_shift")})})
    at_the_end = [quantity(name) for name in ("gamma_mean", "mean_shift")]
    assert all(metric.possible(asked.at({"norm_until": 0})) for metric in at_the_end)
    assert not any(metric.possible(asked) for metric in at_the_end)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"norm": {"until": 5, "since": 5}}, "norm.until: = 5 is not after norm.since = 5: there would never be BN"),
        ({"norm": {"until": 5, "kind": "layer"}}, "norm.until: = 5 takes moving statistics, and norm.kind = layer has"),
        ({"norm": {"since": 5, "kind": "fixed"}}, "norm.since: = 5 takes moving statistics, and norm.kind = fixed has"),
        ({"norm": {"since": 5, "affine": "scale"}}, "norm.since: = 5 puts BN in as the identity, by its γ and β, and"),
        (
            {"norm": {"until": 5, "coverage": "input"}},
            "norm.until: = 5 cannot fold BN of the input, before which there",
        ),
        (
            {"norm": {"until": 5, "placement": "post"}, "model": {"architecture": "cnn"}},
            "norm.until: = 5 cannot fold BN after the activation into the kernels behind",
        ),
        (
            {"norm": {"until": 5, "residual": "after_add"}, "model": {"architecture": "resnet"}},
            "norm.until: = 5 cannot fold BN of block 2 into its kernel, since a shortcut is added in between",
        ),
        (
            {"norm": {"until": 5}, "model": {"architecture": "resnet_preact"}},
            "norm.until: = 5 cannot fold BN of block 0 into its kernel, since a shortcut is added in between",
        ),
        (
            {"norm": {"since": 5}, "model": {"architecture": "resnet_preact"}},
            "norm.since: = 5 would take the bias before BN out of sums that shortcuts carry on",
        ),
        (
            {"norm": {"until": 5}, "model": {"weight_standardization": True}},
            "norm.until: = 5 would fold BN into kernels that model.weight_standardization standardizes anew",
        ),
        (
            {"norm": {"until": 5}, "train": {"average": "ema"}},
            "norm.until: = 5 changes what weights mean at step 5, and train.average begins before; say train.average",
        ),
    ],
)
def test_what_cannot_come_or_go_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(bn.ConfigError) as error:
        bn.make_plan(bn.build_study({"name": "x"} | table))
    assert said in str(error.value)
