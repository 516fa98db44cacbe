"""The measures that a study has to ask for, on values whose measure is known by hand."""

from __future__ import annotations

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.measure import (
    landscape,
    measure_affine,
    measure_layer,
    moments,
    unit_percentiles,
    units_off,
    variance_shift,
    zeros,
)
from bn_ablate.measure.kernel_steps import gradient_cosine, measure_kernel
from bn_ablate.measure.landscape import STEP_SIZES
from bn_ablate.measure.population import mean_shift
from bn_ablate.measure.ranks import ranks


def passes_of(measure, x: np.ndarray, size: int):  # type: ignore[no-untyped-def]
    """`measure` of passes over `size` examples of `x`, merged; the last pass is filled up with nonsense."""
    n = -(-len(x) // size) * size
    filled = np.full((n, *x.shape[1:]), np.nan, np.float32)
    filled[: len(x)] = x
    counted = np.arange(n) < len(x)
    parts = [jax.jit(measure)(filled[i : i + size], counted[i : i + size]) for i in range(0, n, size)]
    nothing = jax.tree.map(np.zeros_like, parts[0])
    return reduce(lambda some, more: jax.jit(type(some).merged)(some, more), parts, nothing)


@pytest.mark.parametrize("shape", [(23, 4), (7, 3, 2, 4)])
def test_merged_moments_are_those_of_all_examples_at_once(shape: tuple[int, ...]) -> None:
    """Means that differ from pass to pass, and one far from zero, where E[x²] − E[x]² would have lost the variance."""
    x = np.random.default_rng(0).normal(size=shape) + np.arange(shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    x = (x + np.array([0, 1, 10, 1000])).astype(np.float32)
    found = passes_of(moments, x, 5)
    rows = x.astype(float).reshape(-1, 4)
    assert float(found.n) == len(rows)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.var, rows.var(0), rtol=1e-4)


def test_variance_shift_by_hand() -> None:
    """Four times too much, a quarter of it, and just right: off by 4, 4 and 1, and on average by nothing."""
    moving = jnp.array([1.0, 1.0, 2.0])
    found = variance_shift(jnp.array([4.0, 0.25, 2.0]), moving, 0.0)
    assert float(found["variance_shift"]) == pytest.approx(16 ** (1 / 3))
    assert float(found["variance_ratio"]) == pytest.approx(1.0)
    halved = variance_shift(0.5 * moving, moving, 0.0)
    assert (float(halved["variance_shift"]), float(halved["variance_ratio"])) == pytest.approx((2.0, 0.5))


def test_mean_shift_by_hand() -> None:
    """Off by 3, −4 and 0 deviations: √(25/3)."""
    moving_mean, moving = jnp.array([1.0, 2.0, 0.0]), jnp.array([4.0, 1.0, 9.0])
    found = mean_shift(jnp.array([7.0, -2.0, 0.0]), moving_mean, moving, 0.0)
    assert float(found["mean_shift"]) == pytest.approx(np.sqrt(25 / 3))


@pytest.mark.parametrize("shape", [(3, 2), (3, 3, 1, 2)])
def test_a_kernel_and_how_far_a_step_turns_it(shape: tuple[int, ...]) -> None:
    found = measure_kernel(jnp.full(shape, 2.0), 0.3)
    square = 4.0 * np.prod(shape)
    assert float(found["kernel_norm"]) == pytest.approx(np.sqrt(square))
    assert float(found["effective_rate"]) == pytest.approx(0.3 / square)


def test_the_cosine_of_successive_gradients_by_hand() -> None:
    """L = ‖θ‖²/2, then ‖θ − c‖²/2 after a step of .5 along the first: gradients θ and θ/2 − c."""
    theta, c = np.array([2.0, 0.0]), np.array([0.0, -1.0])

    def of(centre: np.ndarray) -> object:
        return jax.value_and_grad(lambda params: 0.5 * jnp.sum((params["w"] - centre) ** 2))

    found = gradient_cosine(of(0 * c), of(c), {"w": jnp.asarray(theta)}, 0.5)  # type: ignore[arg-type]
    assert float(found["gradient_cosine"]) == pytest.approx(np.sqrt(0.5), rel=1e-5)


@pytest.mark.parametrize("shape", [(7, 4), (5, 2, 3, 4)])
def test_stable_rank_and_cosine_between_examples_agree_with_numpy(shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(1.0, 1.0, shape).astype(np.float32)
    found = jax.jit(ranks)(a)
    values = np.linalg.svd(a.reshape(-1, 4).astype(float), compute_uv=False)
    assert float(found["stable_rank"]) == pytest.approx(np.sum(values**2) / values[0] ** 2, rel=1e-4)
    rows = a.reshape(shape[0], -1) / np.linalg.norm(a.reshape(shape[0], -1), axis=1, keepdims=True)
    pairs = (rows @ rows.T)[~np.eye(shape[0], dtype=bool)]
    assert float(found["example_cosine"]) == pytest.approx(pairs.mean(), rel=1e-4)


def test_activations_that_are_all_alike_have_rank_1_and_none_have_none() -> None:
    row = jnp.arange(1.0, 5.0)
    alike = ranks(jnp.stack([row, 2 * row, 3 * row]))
    assert (float(alike["stable_rank"]), float(alike["example_cosine"])) == pytest.approx((1.0, 1.0), rel=1e-5)
    off = ranks(jnp.zeros((3, 4)))
    assert np.isnan(off["stable_rank"])
    assert float(off["example_cosine"]) == 0.0


def test_a_variance_below_epsilon_is_no_shift() -> None:
    found = variance_shift(jnp.array([0.0, 3.0]), jnp.array([1e-9, 3.0]), 1e-5)
    assert float(found["variance_shift"]) == pytest.approx(1.0, abs=1e-3)


shift = jax.jit(variance_shift)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.floats(0.01, 100))
def test_the_shift_does_not_ask_which_of_the_two_is_larger(variances: list[float], other: float) -> None:
    real, moving = np.asarray(variances, np.float32), np.full(len(variances), other, np.float32)
    there, back = shift(real, moving, 1e-5), shift(moving, real, 1e-5)
    assert float(there["variance_shift"]) == pytest.approx(float(back["variance_shift"]), rel=1e-4)
    assert float(there["variance_ratio"]) == pytest.approx(1 / float(back["variance_ratio"]), rel=1e-4)
    assert float(there["variance_shift"]) >= 1.0


def test_dead_and_inactive_units_by_hand() -> None:
    """One unit is off throughout, one in all but the last example, one never: each pass alone would call two dead."""
    a = np.array([[0.0, 0.0, 1.0]] * 6 + [[0.0, 2.0, 1.0]])
    found = jax.jit(units_off)(passes_of(zeros, a, 4))
    assert float(found["dead_train"]) == pytest.approx(1 / 3)
    assert float(found["inactive_train"]) == pytest.approx(13 / 21)


def test_a_convolution_is_dead_where_it_is_off_at_every_place() -> None:
    a = np.zeros((3, 2, 2, 2))
    a[2, 1, 0, 1] = 1.0
    found = jax.jit(units_off)(passes_of(zeros, a, 2))
    assert (float(found["dead_train"]), float(found["inactive_train"])) == pytest.approx((1 / 2, 23 / 24))


def test_a_network_that_diverged_has_no_shares() -> None:
    for bad in (np.nan, np.inf):
        a = np.zeros((4, 2))
        a[3, 0] = bad
        assert np.isnan([*jax.jit(units_off)(passes_of(zeros, a, 2)).values()]).all()
        layer = jax.jit(measure_layer)(a, a, np.ones((4, 2)))
        shares = ("within_3sigma", "in_band", "steepness", "saturated", "zero_share", "dead")
        assert np.isnan([layer[name] for name in shares]).all()


def test_gamma_and_beta_by_hand() -> None:
    """The unit without a gamma counts in all but beta / |gamma|, which is −1, 2 and 0.5 for the others."""
    found = jax.jit(measure_affine)(jnp.array([2.0, -1.0, 4.0, 1e-4]), jnp.array([-2.0, 2.0, 2.0, 6.0]))
    expected = {
        "gamma_mean": (5 + 1e-4) / 4,
        "gamma_std": np.std([2.0, -1.0, 4.0, 1e-4]),
        "gamma_min": -1.0,
        "gamma_max": 4.0,
        "beta_mean": 2.0,
        "beta_std": np.sqrt(8.0),
        "beta_min": -2.0,
        "beta_max": 6.0,
        "beta_negative": 1 / 4,
        "beta_over_gamma": 0.5,
    }
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-6)


def test_beta_over_gamma_needs_a_gamma_and_finite_numbers() -> None:
    ones, measure = np.ones(3), jax.jit(measure_affine)
    assert np.isnan(measure(0.0 * ones, ones)["beta_over_gamma"])
    broken = measure(ones, np.array([1.0, np.nan, 1.0]))
    assert float(broken["gamma_mean"]) == 1.0
    for name in ("beta_mean", "beta_std", "beta_min", "beta_max", "beta_negative", "beta_over_gamma"):
        assert np.isnan(broken[name]), name


def test_the_landscape_of_a_quadratic() -> None:
    """L = θᵀAθ/2: g = Aθ, and g(θ − ηg) − g(θ) = −ηAg, so that the effective smoothness is ‖Ag‖/‖g‖ at every η."""
    a = np.array([[3.0, 1.0], [1.0, 2.0]])
    theta, rate = np.array([1.0, -2.0]), 0.1
    found = landscape(
        jax.value_and_grad(lambda params: 0.5 * params["w"] @ jnp.asarray(a) @ params["w"]),
        {"w": jnp.asarray(theta)},
        rate,
    )
    g = a @ theta
    sizes = rate * np.asarray(STEP_SIZES)
    losses = [0.5 * (theta - eta * g) @ a @ (theta - eta * g) for eta in sizes]
    assert float(found["loss_range"]) == pytest.approx(max(losses) - min(losses), rel=1e-5)
    assert float(found["gradient_change"]) == pytest.approx(sizes[-1] * np.linalg.norm(a @ g), rel=1e-5)
    assert float(found["smoothness"]) == pytest.approx(np.linalg.norm(a @ g) / np.linalg.norm(g), rel=1e-5)


def test_a_plane_is_perfectly_smooth() -> None:
    found = landscape(jax.value_and_grad(lambda w: 3.0 * w.sum()), jnp.ones(4), 0.5)
    assert float(found["gradient_change"]) == float(found["smoothness"]) == 0.0
    assert float(found["loss_range"]) == pytest.approx(0.5 * 3.5 * 36)


def test_the_landscape_where_the_loss_breaks_down() -> None:
    found = landscape(jax.value_and_grad(jnp.sqrt), jnp.asarray(0.1), 0.1)
    assert np.isnan([*found.values()]).all()


def test_percentiles_of_the_first_unit_agree_with_numpy() -> None:
    z = np.random.default_rng(1).normal(size=(9, 2, 2, 3)).astype(np.float32)
    for name, value in zip(("unit_p15", "unit_p50", "unit_p85"), np.percentile(z[..., 0], [15, 50, 85]), strict=True):
        assert float(unit_percentiles(jnp.asarray(z))[name]) == pytest.approx(value, rel=1e-5)
    assert np.isnan([*unit_percentiles(jnp.asarray(z).at[3, 0, 1, 0].set(jnp.nan)).values()]).all()
