"""Dropout: exact at 0, right on average, nested over rates; and uniform noise in its place."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.config.names import DROPOUT_SITES
from bn_ablate.nn import drop
from bn_ablate.nn.dropout import rate_at

X = jax.random.normal(jax.random.key(0), (64, 256)) + 3.0
BITS = jax.random.bits(jax.random.key(1), X.shape, jnp.uint16)


def test_rate_zero_changes_nothing() -> None:
    np.testing.assert_array_equal(drop(X, jnp.float32(0.0), BITS), X)


def test_without_bits_nothing_is_dropped() -> None:
    np.testing.assert_array_equal(drop(X, 0.9, None), X)


@given(st.integers(0, 65535))
def test_the_threshold_is_exact(threshold: int) -> None:
    rate = threshold / 65536
    bits = jnp.array([0, max(threshold - 1, 0), threshold, 65535], jnp.uint16)
    kept = drop(jnp.ones(4), jnp.float32(rate), bits) != 0
    np.testing.assert_array_equal(kept, np.asarray(bits) >= threshold)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_share_and_scale(rate: float) -> None:
    y = np.asarray(drop(X, jnp.float32(rate), BITS))
    kept = y != 0
    n = kept.size
    assert abs(kept.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / n)
    np.testing.assert_allclose(y[kept], np.asarray(X)[kept] / (1 - rate), rtol=1e-4)


def test_masks_of_the_same_bits_are_nested() -> None:
    low, high = (np.asarray(drop(X, jnp.float32(rate), BITS)) != 0 for rate in (0.2, 0.6))
    assert not np.any(high & ~low)


def test_the_gradient_passes_where_a_unit_was_kept() -> None:
    gradient = jax.grad(lambda x: drop(x, jnp.float32(0.5), BITS).sum())(X)
    np.testing.assert_allclose(gradient, np.where(np.asarray(BITS) >= 32768, 2.0, 0.0))


BOTH = ("bernoulli", "uniform")


def test_uniform_noise_by_hand() -> None:
    bits = jnp.array([0, 32767, 32768, 65535], jnp.uint16)
    y = drop(jnp.full(4, 10.0), jnp.float32(0.5), bits, ("uniform",))
    np.testing.assert_allclose(y, 10 + 5 * np.array([-65535, -1, 1, 65535]) / 65536, rtol=1e-6)


def test_uniform_noise_over_all_bits_has_the_moments_that_are_stated() -> None:
    r = (
        np.asarray(drop(jnp.ones(65536), jnp.float32(0.25), jnp.arange(65536).astype(jnp.uint16), ("uniform",)), float)
        - 1
    )
    assert abs(r.mean()) < 1e-9
    assert r.var() == pytest.approx(0.25**2 / 3, rel=1e-6)
    assert np.abs(r).max() < 0.25


@pytest.mark.parametrize("kind", [0, 1])
def test_a_kind_that_is_chosen_is_the_kind_alone(kind: int) -> None:
    choose = jax.jit(lambda kind, rate: drop(X, rate, BITS, BOTH, kind))
    for rate in (0.0, 0.3):
        alone = drop(X, jnp.float32(rate), BITS, (BOTH[kind],))
        np.testing.assert_allclose(choose(jnp.int32(kind), jnp.float32(rate)), alone, rtol=1e-6)
    np.testing.assert_array_equal(choose(jnp.int32(kind), jnp.float32(0.0)), X)


@pytest.mark.parametrize("kinds", [("bernoulli",), ("uniform",), BOTH])
def test_the_type_of_the_numbers_is_kept(kinds: tuple[str, ...]) -> None:
    y = drop(X.astype(jnp.bfloat16), jnp.float32(0.5), BITS, kinds, jnp.int32(0))
    assert y.dtype == jnp.bfloat16


def test_a_dropped_unit_is_dropped_even_when_it_is_not_finite() -> None:
    x = jnp.array([jnp.inf, jnp.nan])
    for kinds in (("bernoulli",), BOTH):
        np.testing.assert_array_equal(drop(x, jnp.float32(0.5), jnp.zeros(2, jnp.uint16), kinds), 0.0)


def test_the_gradient_of_uniform_noise_is_its_factor() -> None:
    gradient = jax.grad(lambda x: drop(x, jnp.float32(0.5), BITS, BOTH, jnp.int32(1)).sum())(X)
    np.testing.assert_allclose(gradient, drop(jnp.ones_like(X), jnp.float32(0.5), BITS, ("uniform",)), rtol=1e-6)


def test_a_rate_is_where_its_site_is() -> None:
    """A place some sites include: the rate is that of the lane, or 0; and None where none includes it."""
    applies = {"block": True, "last": False, "before_norm": jnp.bool_(True), "ic": True}
    rate = jnp.float32(0.3)
    found = [rate_at(DROPOUT_SITES, jnp.int32(i), rate, applies) for i in range(4)]
    np.testing.assert_allclose(found, [0.3, 0.0, 0.3, 0.3], rtol=1e-6)  # type: ignore[arg-type]
    assert rate_at(("block", "ic"), jnp.int32(0), rate, applies) is rate
    assert rate_at(("last",), jnp.int32(1), rate, applies) is None
    assert rate_at((), jnp.int32(0), rate, applies) is None
