"""Dropout: exact at 0, right on average, nested over rates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.nn import drop

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
