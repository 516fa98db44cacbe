"""Batch Normalization against hand computation, Flax, PyTorch and finite differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from bn_ablate.nn import How, Normalization, NormSettings, normalize, normalize_groups
from bn_ablate.nn.statistics import THROUGH

BATCH = How(("batch",))
ENABLED = {True: (BATCH, 0), False: (How((THROUGH,)), 0)}
"""Of Batch Normalization, or none, alone in a program."""
TRACED = {flag: (How((THROUGH, "batch")), jnp.int32(flag)) for flag in (True, False)}
"""As a lane's choice in a program of both."""
CHOSEN = [*ENABLED.values(), *TRACED.values()]

RECORDED = json.loads((Path(__file__).parent / "torch_batchnorm.json").read_text())["cases"]


def start(channels: int) -> dict[str, Any]:
    init = jax.jit(lambda x: Normalization().init(jax.random.key(0), x, NormSettings(True), train=True))
    return init(jnp.zeros((2, channels)))  # type: ignore[no-any-return]


def trained(norm: Normalization, variables: dict[str, Any], x: Any, settings: NormSettings) -> Any:
    """A training pass: the output, and what it changed."""
    apply = jax.jit(lambda variables, x: norm.apply(variables, x, settings, train=True, mutable=["batch_stats"]))
    return apply(variables, x)


def test_forward_and_moving_averages_by_hand() -> None:
    x = jnp.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]])
    # means 3, 20; biased variances 8/3, 200
    settings = NormSettings(True, momentum=0.75, epsilon=0.0)
    y, changed = trained(Normalization(), start(2), x, settings)
    np.testing.assert_allclose(y[:, 0], np.array([-2.0, 0.0, 2.0]) / np.sqrt(8 / 3), rtol=1e-6)
    np.testing.assert_allclose(y[:, 1], np.array([-10.0, -10.0, 20.0]) / np.sqrt(200), rtol=1e-6)
    np.testing.assert_allclose(changed["batch_stats"]["mean"], [0.25 * 3, 0.25 * 20], rtol=1e-6)
    np.testing.assert_allclose(changed["batch_stats"]["var"], [0.75 + 0.25 * 8 / 3, 0.75 + 0.25 * 200], rtol=1e-6)


@pytest.mark.parametrize("shape", [(16, 5), (4, 3, 3, 5)])
def test_agrees_with_flax_in_training_and_evaluation(shape: tuple[int, ...]) -> None:
    mine, flax = Normalization(), nn.BatchNorm(momentum=0.8, epsilon=1e-3)
    settings = NormSettings(True, momentum=0.8, epsilon=1e-3)
    keys = jax.random.split(jax.random.key(1), 4)
    params = {"scale": 1 + jax.random.normal(keys[0], (5,)), "bias": jax.random.normal(keys[1], (5,))}
    ours = theirs = start(5)["batch_stats"]

    @jax.jit
    def both(ours: Any, theirs: Any, x: jax.Array) -> Any:
        return (
            mine.apply({"params": params, "batch_stats": ours}, x, settings, train=True, mutable=["batch_stats"]),
            flax.apply(
                {"params": params, "batch_stats": theirs}, x, use_running_average=False, mutable=["batch_stats"]
            ),
        )

    for key in keys[2:]:
        x = 2.0 * jax.random.normal(key, shape) + 1.0
        (got, changed), (want, expected) = both(ours, theirs, x)
        ours, theirs = changed["batch_stats"], expected["batch_stats"]
        np.testing.assert_allclose(got, want, atol=2e-5)
        for name in ("mean", "var"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-6)
    variables = {"params": params, "batch_stats": ours}
    got, want = jax.jit(
        lambda x: (
            mine.apply(variables, x, settings, train=False),
            flax.apply(variables, x, use_running_average=True),
        )
    )(x)
    np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"momentum={case['momentum']}")
def test_agrees_with_pytorch(case: dict[str, Any]) -> None:
    """PyTorch keeps the unbiased variance in its moving average; so do we where that is asked for."""
    settings = NormSettings(True, momentum=case["momentum"], epsilon=case["epsilon"], unbiased=True)
    norm = Normalization(choices=("moving_variance",))
    params = {"scale": jnp.array(case["scale"]), "bias": jnp.array(case["bias"])}
    channels = len(case["scale"])
    stats = start(channels)["batch_stats"]

    @jax.jit
    def pulled(params: Any, stats: Any, x: jax.Array, g: jax.Array) -> Any:
        def run(params: Any, x: jax.Array) -> Any:
            variables = {"params": params, "batch_stats": stats}
            return norm.apply(variables, x, settings, train=True, mutable=["batch_stats"])

        y, pull_back, changed = jax.vjp(run, params, x, has_aux=True)
        return (y, changed), pull_back(g)

    for step in case["trained"]:
        x = jnp.array(step["x"])
        (y, changed), (d_params, dx) = pulled(params, stats, x, np.array(step["g"], np.float32))
        stats = changed["batch_stats"]
        np.testing.assert_allclose(y, step["y"], atol=1e-5)
        np.testing.assert_allclose(dx, step["dx"], atol=2e-5)
        np.testing.assert_allclose(d_params["scale"], step["dscale"], atol=2e-5)
        np.testing.assert_allclose(d_params["bias"], step["dbias"], atol=1e-5)
        np.testing.assert_allclose(stats["mean"], step["running_mean"], atol=1e-5)
        np.testing.assert_allclose(stats["var"], step["running_var_unbiased"], rtol=1e-4)
    got = Normalization().apply(
        {"params": params, "batch_stats": stats}, jnp.array(case["evaluated"]["x"]), settings, train=False
    )
    np.testing.assert_allclose(got, case["evaluated"]["y"], atol=2e-4)


@pytest.mark.parametrize("chosen", CHOSEN, ids=str)
def test_gradients_against_finite_differences(chosen: Any) -> None:
    x = jax.random.normal(jax.random.key(2), (6, 3))
    weights = jax.random.normal(jax.random.key(3), (6, 3))

    @jax.jit
    def loss(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return jnp.sum(weights * jnp.sin(normalize(*chosen, x, scale, bias, 1e-3)[0]))

    with jax.enable_x64(False):
        check_grads(
            loss,
            (x, jnp.array([0.5, 1.0, 2.0]), jnp.array([0.1, 0.0, -1.0])),
            order=1,
            modes=["rev"],
            atol=2e-2,
            rtol=2e-2,
        )


def test_disabled_hands_everything_through() -> None:
    x = jax.random.normal(jax.random.key(4), (8, 3))
    for train in (True, False):
        variables = start(3)
        variables["params"]["scale"] = jnp.array([5.0, 6.0, 7.0])
        y, changed = Normalization().apply(
            variables, x, NormSettings(jnp.bool_(False)), train=train, mutable=["batch_stats"]
        )
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(changed["batch_stats"]["mean"], 0.0)
        np.testing.assert_array_equal(changed["batch_stats"]["var"], 1.0)


@pytest.mark.parametrize(("scale", "bias"), [(True, False), (False, True), (False, False)])
def test_affine_parts_can_be_left_out(scale: bool, bias: bool) -> None:
    x = jax.random.normal(jax.random.key(5), (32, 2))
    variables = start(2)
    variables["params"] = {"scale": jnp.array([3.0, 3.0]), "bias": jnp.array([4.0, 4.0])}

    def run(params: Any) -> jax.Array:
        settings = NormSettings(True, jnp.bool_(scale), jnp.bool_(bias))
        y, _ = Normalization().apply({**variables, "params": params}, x, settings, train=True, mutable=["batch_stats"])
        return y  # type: ignore[no-any-return]

    y = np.asarray(jax.jit(run)(variables["params"]))
    np.testing.assert_allclose(y.std(0), 3.0 if scale else 1.0, rtol=1e-3)
    np.testing.assert_allclose(y.mean(0), 4.0 if bias else 0.0, atol=1e-5)
    gradients = jax.jit(jax.grad(lambda params: jnp.sum(run(params) ** 3)))(variables["params"])
    assert bool(jnp.all(gradients["scale"] != 0)) is scale
    assert bool(jnp.all(gradients["bias"] != 0)) is bias


def test_a_constant_feature_becomes_beta() -> None:
    y, (mean, var) = normalize(BATCH, 0, jnp.full((4, 1), 7.0), jnp.array([2.0]), jnp.array([0.5]), 1e-5)
    np.testing.assert_allclose(y, 0.5)
    assert float(mean[0]) == 7.0
    assert float(var[0]) == 0.0


@pytest.mark.parametrize("shape", [(12, 3), (6, 2, 2, 3)])
def test_ghost_batches_by_hand(shape: tuple[int, ...]) -> None:
    """Groups in a row, each over its examples and places; the moving statistics follow the groups' mean."""
    size = shape[0] // 3
    x = 3.0 * jax.random.normal(jax.random.key(6), shape) + jnp.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    variables = start(3)
    variables["params"] = {"scale": jnp.array([1.0, 2.0, 0.5]), "bias": jnp.array([0.0, -1.0, 4.0])}
    settings = NormSettings(True, momentum=0.75, epsilon=1e-3)
    y, changed = trained(Normalization(batch_size=size), variables, x, settings)
    axes = tuple(range(len(shape) - 1))
    groups = [np.asarray(x[i : i + size], float) for i in range(0, shape[0], size)]
    want = [(g - g.mean(axes)) / np.sqrt(g.var(axes) + 1e-3) * [1.0, 2.0, 0.5] + [0.0, -1.0, 4.0] for g in groups]
    np.testing.assert_allclose(y, np.concatenate(want), atol=1e-5)
    stats = changed["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.25 * np.mean([g.mean(axes) for g in groups], 0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.75 + 0.25 * np.mean([g.var(axes) for g in groups], 0), rtol=1e-5)
    whole, _ = trained(Normalization(), variables, x, settings)
    assert not np.allclose(y, whole, atol=0.1)
    alike, _ = trained(Normalization(batch_size=shape[0]), variables, x, settings)
    np.testing.assert_array_equal(alike, whole)


def test_examples_left_over_are_normalized_with_the_last_ones() -> None:
    x = jax.random.normal(jax.random.key(7), (11, 2))
    given = jnp.ones(2), jnp.zeros(2), 1e-5
    (y, (mean, _)), (last, _) = jax.jit(
        lambda x: (normalize_groups(BATCH, 4, 0, x, *given), normalize(BATCH, 0, x[7:], *given))
    )(x)
    np.testing.assert_allclose(y[8:], last[1:], atol=1e-6)
    np.testing.assert_allclose(mean, jnp.mean(x[:8], 0), atol=1e-6)


@pytest.mark.parametrize("chosen", [ENABLED[True], *TRACED.values()], ids=str)
@pytest.mark.parametrize("rows", [pytest.param(6, marks=pytest.mark.slow), 7])  # 7: with one that is left over
def test_gradients_of_ghost_batches_against_finite_differences(chosen: Any, rows: int) -> None:
    x = jax.random.normal(jax.random.key(2), (rows, 2, 3))
    weights = jax.random.normal(jax.random.key(3), x.shape)
    how, index = chosen

    @jax.jit
    def loss(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        return jnp.sum(weights * jnp.sin(normalize_groups(how, 3, index, x, scale, bias, 1e-3)[0]))

    args = (x, jnp.array([0.5, 1.0, 2.0]), jnp.array([0.1, 0.0, -1.0]))
    check_grads(loss, args, order=1, modes=["rev"], atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("mean", [0.0, 30.0, 1e3, 1e4])
def test_a_mean_far_above_the_deviation_costs_no_precision(mean: float) -> None:
    """E[x²] − E[x]² would have lost the variance at 1e4, and x · a + b, for a and b made beforehand, the output."""
    x = jnp.float32(mean) + jax.random.normal(jax.random.key(8), (64, 5))
    exact = np.asarray(x, np.float64)
    want = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    ones, zeros = jnp.ones(5), jnp.zeros(5)
    y, (batch_mean, batch_var) = jax.jit(normalize, static_argnums=0)(BATCH, 0, x, ones, zeros, 1e-5)
    rounding = 1e-6 + mean * 1.2e-7  # of the mean itself, to a float32
    np.testing.assert_allclose(batch_var, exact.var(0), rtol=1e-5)
    np.testing.assert_allclose(y, want, atol=2 * rounding)
    variables = {"params": {"scale": ones, "bias": zeros}, "batch_stats": {"mean": batch_mean, "var": batch_var}}
    evaluated = jax.jit(lambda x: Normalization().apply(variables, x, NormSettings(True), train=False))(x)
    centred = (exact - np.asarray(batch_mean, np.float64)) / np.sqrt(np.asarray(batch_var, np.float64) + 1e-5)
    np.testing.assert_allclose(evaluated, centred, atol=2e-6)
