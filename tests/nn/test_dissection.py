"""BN taken apart: whose statistics, whose noise, and where epsilon stands; by hand and by finite differences."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from bn_ablate.engine.program import program_of
from bn_ablate.engine.randomness import noise_after, norm_noise
from bn_ablate.nn import How, Normalization, NormSettings, lane_factors, normalize
from bn_ablate.nn.norm import with_noise
from bn_ablate.nn.statistics import Beside
from tests.engine import small

CHANNELS, EPSILON = 3, 0.05
SHAPES = [(6, CHANNELS), (4, 2, 2, CHANNELS)]


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 2.0, shape)


def variables() -> Any:
    mean, var = jnp.array([1.0, -2.0, 0.5]), jnp.array([4.0, 1.0, 9.0])
    params = {"scale": jnp.array([1.0, 2.0, 0.5]), "bias": jnp.array([0.0, -1.0, 4.0])}
    return {"params": params, "batch_stats": {"mean": mean, "var": var}}


@pytest.mark.parametrize("kind", ["batch", "variance_only", "layer"])
def test_epsilon_on_the_deviation(kind: str) -> None:
    """Forward in training and evaluation by hand, backward by finite differences; finite for a constant channel."""
    x = drawn(SHAPES[0])
    axes = 1 if kind == "layer" else 0
    mean, std = x.mean(axes, keepdims=True), x.std(axes, keepdims=True)
    how, outside = How((kind,)), Beside(outside=jnp.bool_(True))
    ones, zeros = jnp.ones(CHANNELS), jnp.zeros(CHANNELS)
    y, _ = normalize(how, 0, jnp.float32(x), ones, zeros, EPSILON, outside)
    np.testing.assert_allclose(y, (x - mean * (kind != "variance_only")) / (std + EPSILON), rtol=1e-4, atol=1e-5)

    @jax.jit
    def loss(x: jax.Array, scale: jax.Array) -> jax.Array:
        y, _ = normalize(how, 0, x, scale, zeros, EPSILON, outside)
        return jnp.sum(jnp.sin(y) * jnp.arange(x.size).reshape(x.shape))

    check_grads(loss, (jnp.float32(x), ones), order=1, modes=["rev"], atol=3e-2, rtol=3e-2)
    assert np.isfinite(jax.grad(loss)(jnp.ones_like(x), ones)).all()
    if kind == "batch":
        norm, settings = Normalization(choices=("epsilon_on",)), NormSettings(True, epsilon=EPSILON, outside=True)
        stats, params = (jax.tree.map(np.asarray, variables()[of]) for of in ("batch_stats", "params"))
        y = norm.apply(variables(), jnp.float32(x), settings, train=False)
        want = (x - stats["mean"]) / (np.sqrt(stats["var"]) + EPSILON) * params["scale"] + params["bias"]
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("whose", ["moving", "other"])
@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_that_are_not_the_batchs_own(whose: str, shape: tuple[int, ...]) -> None:
    """They are constants to the gradient; the moving ones follow the batch all the same."""
    x, g = drawn(shape), drawn(shape, 1)
    given = variables()
    used = {"mean": np.array([0.0, 1.0, 2.0]), "var": np.array([1.0, 2.0, 3.0])}
    used = used if whose == "other" else jax.tree.map(np.asarray, given["batch_stats"])
    norm = Normalization(choices=("statistics",))
    settings = NormSettings(
        True,
        momentum=0.75,
        epsilon=EPSILON,
        by_moving=jnp.bool_(whose == "moving"),
        by_other=jnp.bool_(whose == "other"),
    )
    other = {"other": jax.tree.map(jnp.float32, used)} if whose == "other" else {}

    def run(x: jax.Array) -> Any:
        return norm.apply({**given, **other}, x, settings, train=True, mutable=["batch_stats"])

    y, pull_back, changed = jax.vjp(run, jnp.float32(x), has_aux=True)
    scale, bias = (np.asarray(given["params"][name]) for name in ("scale", "bias"))
    by = scale / np.sqrt(used["var"] + EPSILON)
    np.testing.assert_allclose(y, (x - used["mean"]) * by + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pull_back(jnp.float32(g))[0], g * by, rtol=1e-4, atol=1e-5)
    axes = tuple(range(len(shape) - 1))
    for name, own in (("mean", x.mean(axes)), ("var", x.var(axes))):
        want = 0.75 * np.asarray(given["batch_stats"][name]) + 0.25 * own
        np.testing.assert_allclose(changed["batch_stats"][name], want, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_by_hand(shape: tuple[int, ...]) -> None:
    """Every two examples in a row share it; forward, and backward by the same formula."""
    xhat, noise = drawn(shape), drawn((2, shape[0], CHANNELS), 2)
    scale, bias = np.array([1.0, 2.0, 0.5]), np.array([0.0, -1.0, 4.0])
    a, b = (np.repeat(some[::2], 2, 0).reshape(shape[0], *[1] * (len(shape) - 2), CHANNELS) for some in noise)
    want = scale * ((1 + a / 2) * xhat + b / np.sqrt(2)) + bias
    given = (jnp.float32(xhat * scale + bias), *map(jnp.float32, (scale, bias, noise)))
    np.testing.assert_allclose(with_noise(*given, 2), want, rtol=1e-4, atol=1e-5)
    noisy = jax.jit(lambda y, scale, bias: jnp.sum(jnp.sin(with_noise(y, scale, bias, given[3], 2))))
    check_grads(noisy, given[:3], order=1, modes=["rev"], atol=3e-2, rtol=3e-2)


def test_noise_is_as_strong_as_that_of_batches_of_its_size() -> None:
    """Of 64 normal values each: how far their means, and the logarithms of their deviations, spread."""
    draw, n = np.random.default_rng(0), 64
    batches = draw.normal(size=(20000, n))
    noisy = with_noise(jnp.ones((20000, 1)), jnp.ones(1), jnp.zeros(1), jnp.float32(draw.normal(size=(2, 20000, 1))), 1)
    assert np.var(noisy) == pytest.approx(1 / 2 + 1, rel=0.05)
    assert batches.mean(1).std() == pytest.approx(1 / np.sqrt(n), rel=0.02)
    assert np.log(batches.std(1)).std() == pytest.approx(1 / np.sqrt(2 * n), rel=0.05)


def test_noise_depends_on_seed_step_and_block_alone() -> None:
    """So lanes share it whatever stands beside them."""
    few = norm_noise(1, 7, (("block_1", 4),), 6)
    many = norm_noise(1, 7, (("block_0", 2), ("block_1", 4), ("input_norm", 5)), 6)
    np.testing.assert_array_equal(few["block_1"], many["block_1"])
    assert many["input_norm"].shape == (2, 6, 5)
    for seed, step in ((2, 7), (1, 8)):
        assert not np.array_equal(norm_noise(seed, step, (("block_1", 4),), 6)["block_1"], few["block_1"])


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_noise_behind_the_normalizer_by_hand(shape: tuple[int, ...]) -> None:
    """Each example has its own for each channel, at all its places; forward, and backward by the same formula."""
    x, noise, strength = drawn(shape), drawn((2, shape[0], CHANNELS), 2), 0.5
    given = variables()
    norm, settings = Normalization(), NormSettings(True, epsilon=EPSILON, noise_after=jnp.float32(strength))
    quiet = NormSettings(True, epsilon=EPSILON)
    beside = {"noises": {"noise_after": jnp.float32(noise)}}

    def run(settings: NormSettings, beside: Any, x: jax.Array) -> Any:
        return norm.apply({**given, **beside}, x, settings, train=True, mutable=["batch_stats"])

    (y, pull_back, changed), (plain, pull_plain, alike) = (
        jax.vjp(lambda x, how=how: run(*how, x), jnp.float32(x), has_aux=True)
        for how in ((settings, beside), (quiet, {}))
    )
    s, m = (some.reshape(shape[0], *[1] * (len(shape) - 2), CHANNELS) for some in noise)
    np.testing.assert_allclose(y, (1 + strength * s) * np.asarray(plain) + strength * m, rtol=1e-4, atol=1e-4)
    g = drawn(shape, 3)
    of_plain = pull_plain(jnp.float32((1 + strength * s) * g))[0]
    np.testing.assert_allclose(pull_back(jnp.float32(g))[0], of_plain, rtol=1e-4, atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, changed, alike)  # the moving statistics see what comes in
    np.testing.assert_array_equal(run(quiet, beside, jnp.float32(x))[0], plain)
    off = NormSettings(jnp.bool_(False), noise_after=jnp.float32(strength))
    np.testing.assert_array_equal(run(off, beside, jnp.float32(x))[0], jnp.float32(x))
    np.testing.assert_array_equal(
        norm.apply({**given, **beside}, jnp.float32(x), settings, train=False),
        norm.apply(given, jnp.float32(x), quiet, train=False),
    )


def test_noise_behind_the_normalizer_is_that_of_santurkar() -> None:
    """Mean and deviation are of the step and the channel, evenly drawn, and examples lie around them."""
    batch, channels = 400, 1000
    noise = np.asarray(noise_after(3, 5, (("block_0", channels),), batch)["block_0"])
    (scales, means), (s, m) = noise.mean(1), noise
    assert scales.mean() == pytest.approx(0.125, abs=0.01)
    assert scales.std() == pytest.approx(0.25 / np.sqrt(12), rel=0.1)
    assert (scales.min() > -0.03, scales.max() < 0.28, np.abs(means).max() < 0.52) == (True, True, True)
    assert means.mean() == pytest.approx(0.0, abs=0.03)
    assert means.std() == pytest.approx(1 / np.sqrt(12), rel=0.05)
    assert (s - scales).std() == pytest.approx(0.1, rel=0.02)
    assert (m - means).std() == pytest.approx(0.2 / np.sqrt(12), rel=0.02)
    assert np.abs(m - means).max() < 0.13
    beside = noise_after(3, 5, (("input_norm", 4), ("block_0", channels)), batch)
    np.testing.assert_array_equal(beside["block_0"], noise)
    for seed, step in ((4, 5), (3, 6)):
        assert not np.array_equal(noise_after(seed, step, (("block_0", channels),), batch)["block_0"], noise)


def test_momentum_goes_to_its_end_while_the_statistics_move() -> None:
    """In equal steps, from the first step in which there is BN to the last before its statistics stand still."""
    ends = {"bn_momentum": 0.9, "bn_momentum_end": 0.5, "norm_since": 2, "steps": 20}
    for more, last in (({"norm_until": 7}, 6), ({"frozen_from": 7}, 6), ({"steps": 7}, 6), ({}, 19)):
        lane = small.BASE.at(ends | more)
        structure = program_of([lane], small.IMAGE, small.CLASSES).structure
        factors = lane_factors(lane, structure)
        seen = [float(factors.at(step, structure).bn_momentum) for step in range(2, last + 1)]
        np.testing.assert_allclose(seen, np.linspace(0.9, 0.5, last - 1), rtol=1e-6)
    assert "momentum_end" not in program_of([small.BASE], small.IMAGE, small.CLASSES).structure.choices


def test_what_changes_along_training() -> None:
    """A mean over all batches weighs batch t by 1/(t + 1); frozen statistics stand still, and are what normalizes."""
    lane = small.BASE.at({"moving_average": "cumulative", "frozen_from": 3, "norm_statistics": "other_batch"})
    structure = program_of([lane], small.IMAGE, small.CLASSES).structure
    assert structure.choices == ("moving_average", "frozen_from", "statistics")
    factors = lane_factors(lane, structure)
    seen = [factors.at(step, structure) for step in range(5)]
    np.testing.assert_allclose([float(at.bn_momentum) for at in seen], [0.0, 1 / 2, 2 / 3, 1.0, 1.0], rtol=1e-6)
    assert [bool(at.by_moving) for at in seen] == [False] * 3 + [True] * 2
    assert [bool(at.by_other) for at in seen] == [True] * 3 + [False] * 2
    plain = small.BASE.at({"norm_kind": "layer", "frozen_from": 1, "norm_statistics": "moving"}).canonical
    assert plain == small.BASE.at({"norm_kind": "layer"}).canonical
    assert program_of([plain], small.IMAGE, small.CLASSES).structure.choices == ()
