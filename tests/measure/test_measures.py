"""Measurements on inputs whose values are known by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bn_ablate.measure import HIGH, LOW, correct, cross_entropy, gradient_norms, histogram, measure_layer
from bn_ablate.nn import slope


def test_a_layer_whose_measures_are_known() -> None:
    """Two units, four samples, ReLU: one unit is always off, the other is off once and beyond 3 once."""
    z = jnp.array([[-1.0, 4.0], [-2.0, 1.0], [-1.0, 2.0], [-2.0, -5.0]])
    measures = jax.jit(lambda z: measure_layer(z, jnp.maximum(z, 0.0), slope(("relu",), 0, z)))(z)
    assert float(measures["mean"]) == pytest.approx(-0.5)
    assert float(measures["std"]) == pytest.approx(np.std(np.asarray(z)))
    assert float(measures["within_3sigma"]) == 1.0
    assert float(measures["in_band"]) == pytest.approx(6 / 8)
    assert float(measures["steepness"]) == pytest.approx(3 / 8)
    assert float(measures["saturated"]) == pytest.approx(5 / 8)
    assert float(measures["zero_share"]) == pytest.approx(5 / 8)
    assert float(measures["dead"]) == pytest.approx(1 / 2)


def test_a_sigmoid_is_saturated_beyond_three_point_six() -> None:
    """σ'(z) < 0.1 · 0.25 begins at |z| = ln((1 + √0.9)/(1 − √0.9)) = 3.637; at |z| = 3 the slope is 18% of its peak."""
    edge = np.log((1 + np.sqrt(0.9)) / (1 - np.sqrt(0.9)))
    z = jnp.array([[0.0], [3.0], [edge - 0.01], [edge + 0.01], [-edge - 0.01]])
    relative, measures = jax.jit(
        lambda z: (relative := slope(("sigmoid",), 0, z), measure_layer(z, jax.nn.sigmoid(z), relative))
    )(z)
    assert float(relative[0, 0]) == pytest.approx(1.0)
    assert float(relative[1, 0]) == pytest.approx(0.18, abs=0.002)
    assert float(measures["saturated"]) == pytest.approx(2 / 5)


def test_an_outlier_lies_beyond_three_sigma_of_its_unit() -> None:
    z = np.where(np.arange(100)[:, None] == 0, np.float32(50.0), np.float32(0.0))
    assert float(jax.jit(measure_layer)(z, z, np.ones_like(z))["within_3sigma"]) == pytest.approx(0.99)


def test_gradient_norms_by_hand() -> None:
    gradients = {f"block_{i}": {"linear": {"kernel": jnp.full((2, 2), float(i + 1))}} for i in range(2)}
    np.testing.assert_allclose(jax.jit(gradient_norms, static_argnums=1)(gradients, 2), [2.0, 4.0])


def test_histogram_counts_each_value_once() -> None:
    values = jnp.array([LOW - 5, LOW, LOW + 0.1, -0.05, 0.05, HIGH - 0.01, HIGH, jnp.inf, -jnp.inf, jnp.nan])
    counts = np.asarray(jax.jit(histogram)(values))
    assert counts.sum() == 9
    assert counts[0] == 2
    assert counts[1] == 2
    assert counts[50] == 1
    assert counts[51] == 1
    assert counts[100] == 1
    assert counts[-1] == 2


def test_histogram_agrees_with_numpy() -> None:
    values = np.asarray(4 * jax.random.normal(jax.random.key(0), (1000,)))
    counts, _ = np.histogram(values, bins=np.linspace(LOW, HIGH, 101))
    np.testing.assert_allclose(jax.jit(histogram)(values)[1:-1], counts, atol=1)


def test_cross_entropy_and_accuracy_by_hand() -> None:
    logits = jnp.array([[0.0, 0.0], [jnp.log(3.0), 0.0], [jnp.nan, 0.0], [jnp.inf, 0.0]])
    labels = jnp.array([0, 0, 0, 0])
    np.testing.assert_allclose(jax.jit(cross_entropy)(logits, labels)[:2], [np.log(2), np.log(4 / 3)], rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(correct)(logits, labels), [1.0, 1.0, 0.0, 0.0])


def test_the_loss_of_a_sure_network_keeps_its_relative_precision_and_so_does_its_gradient() -> None:
    """From even odds to e⁻⁸⁰: logsumexp less the label's logit is 0, or 5e-7 for 3e-7, from odds of 15 nats on."""
    odds = np.linspace(-80.0, 80.0, 3201).astype(np.float32)
    logits = np.stack([odds / 2, -odds / 2, -odds / 2 - 1], 1)
    exact = logits.astype(np.float64)
    o = np.logaddexp(exact[:, 1], exact[:, 2]) - exact[:, 0]
    labels = jnp.zeros(len(odds), jnp.int32)

    @jax.jit
    def both(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        losses, pull_back = jax.vjp(lambda logits: cross_entropy(logits, labels), logits)
        return losses, pull_back(jnp.ones_like(losses))[0]

    losses, gradient = map(np.asarray, both(logits))
    np.testing.assert_allclose(losses, np.logaddexp(0.0, o), rtol=1e-5)
    wrong = np.exp(-np.logaddexp(0.0, -o))
    np.testing.assert_allclose(gradient[:, 0], -wrong, rtol=1e-5)
    np.testing.assert_allclose(gradient[:, 1], wrong / (1.0 + np.exp(-1.0)), rtol=1e-5)


def test_logits_that_are_not_finite_give_no_finite_loss() -> None:
    logits = jnp.array([[jnp.inf, 0.0], [0.0, jnp.inf], [-jnp.inf, 0.0], [jnp.nan, 0.0], [0.0, jnp.nan]])
    assert not np.isfinite(jax.jit(cross_entropy)(logits, np.zeros(5, np.int32))).any()
