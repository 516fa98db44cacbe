"""Activations: values, slopes and gradients, against JAX's own functions and its automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from bn_ablate.config import names
from bn_ablate.measure import measure_layer
from bn_ablate.nn import ACTIVATIONS, activate, slope

INDEPENDENT: dict[str, Callable[[jax.Array], jax.Array]] = {
    "identity": lambda z: z,
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
    "hard_tanh": nn.hard_tanh,
    "softsign": nn.soft_sign,
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "selu": nn.selu,
    "gelu": lambda z: nn.gelu(z, approximate=False),
    "silu": nn.silu,
    "softplus": nn.softplus,
}
Z = jnp.array([-30.0, -3.7, -1.2, -0.3, 0.4, 0.9, 2.6, 30.0])
"""Points off every kink."""

Float64 = np.ndarray
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def density(z: Float64) -> Float64:
    return np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)


EXACT: dict[str, Callable[[Float64], tuple[Float64, Float64, Float64]]] = {
    "identity": lambda z: (z, np.ones_like(z), np.ones_like(z)),
    "sigmoid": lambda z: (special.expit(z), d := special.expit(z) * special.expit(-z), d),
    "tanh": lambda z: (np.tanh(z), d := 1.0 / np.square(np.cosh(z)), d),
    "hard_tanh": lambda z: (np.clip(z, -1.0, 1.0), d := (np.abs(z) < 1.0).astype(float), d),
    "softsign": lambda z: (z / (1.0 + np.abs(z)), d := 1.0 / np.square(1.0 + np.abs(z)), d),
    "relu": lambda z: (np.maximum(z, 0.0), d := (z > 0.0).astype(float), d),
    "leaky_relu": lambda z: (np.where(z > 0.0, z, 0.01 * z), d := np.where(z > 0.0, 1.0, 0.01), d),
    "elu": lambda z: (np.where(z > 0.0, z, np.expm1(np.minimum(z, 0.0))), d := np.exp(np.minimum(z, 0.0)), d),
    "selu": lambda z: (
        SELU_SCALE * np.where(z > 0.0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0.0))),
        d := SELU_SCALE * np.where(z > 0.0, 1.0, SELU_ALPHA * np.exp(np.minimum(z, 0.0))),
        d,
    ),
    "gelu": lambda z: (
        z * special.ndtr(z),
        special.ndtr(z) + z * density(z),
        special.ndtr(z) + np.abs(z) * density(z),
    ),
    "silu": lambda z: (
        z * special.expit(z),
        special.expit(z) * (1.0 + z * special.expit(-z)),
        special.expit(z) * (1.0 + np.abs(z) * special.expit(-z)),
    ),
    "softplus": lambda z: (np.logaddexp(0.0, z), d := special.expit(z), d),
}
"""In float64: the value, its derivative, and the magnitudes that make up the derivative, which may cancel to a zero."""

DENSE = np.unique(
    np.concatenate(
        [
            np.linspace(-30, 30, 240_001),
            np.linspace(-120, 120, 24_001),
            *(s * np.logspace(-37, 2, 4000) for s in (-1, 1)),
        ]
    ).astype(np.float32)
)
FLUSHED = 2e-36
"""Below this a factor of z · Φ(z) or z · σ(z) may be subnormal, which XLA takes for 0 on CPU."""


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_derivatives_keep_their_relative_precision(name: str) -> None:
    """At a quarter of a million points from −30 to 30, in the tails beyond, and down to the smallest numbers.

    The error of exp(−z²/2) is that of its argument, z² · 3e-8: 1e-5 where it leaves float32.
    """
    tolerance = 2e-5 if name == "gelu" else 5e-7

    def gradient(z: jax.Array) -> jax.Array:
        return jax.vjp(lambda z: activate((name,), 0, z), z)[1](jnp.ones_like(z))[0]  # type: ignore[no-any-return]

    value, derivative, magnitude = EXACT[name](DENSE.astype(np.float64))
    for got, want, scale in (
        (jax.jit(lambda z: activate((name,), 0, z))(DENSE), value, np.abs(value)),
        (jax.jit(gradient)(DENSE), derivative, magnitude),
    ):
        off = np.abs(np.asarray(got, np.float64) - want)
        worst = np.argmax(off - tolerance * scale)
        said = f"{name}({DENSE[worst]}): {np.asarray(got)[worst]} for {want[worst]}"
        assert off[worst] <= tolerance * scale[worst] + FLUSHED, said


def test_gelu_is_off_where_it_is_off_and_nowhere_else() -> None:
    """In float32, 1 + erf is exactly 0 from z = −5.3 on; a layer of z around −4.2 had 4% too many zeros for that."""
    value = float(activate(("gelu",), 0, jnp.float32(-5.5)))
    assert value == pytest.approx(-5.5 * special.ndtr(-5.5), rel=1e-5)
    assert value == pytest.approx(-1.0445e-07, rel=1e-4)
    z = np.random.default_rng(0).normal(-4.2, 0.8, (500, 40)).astype(np.float32)
    exact = z * special.ndtr(z.astype(np.float64))
    measured = jax.jit(lambda z: measure_layer(z, activate(("gelu",), 0, z), slope(("gelu",), 0, z)))(z)
    assert float(measured["zero_share"]) == pytest.approx(np.mean(np.abs(exact) < 1e-12), abs=1e-6)
    assert np.mean(np.float32(1) + special.erf(z / np.float32(2) ** 0.5) == 0) > 0.03


def test_every_name_of_the_configuration_is_there_and_no_other() -> None:
    assert set(ACTIVATIONS) == set(names.ACTIVATIONS) == set(INDEPENDENT)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_agree_with_flax(name: str) -> None:
    names = ("identity", name)

    @jax.jit
    def both(z: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        functions = (lambda z: activate(names, jnp.int32(1), z), INDEPENDENT[name])
        return [(f(z), jax.vmap(jax.grad(f))(z)) for f in functions]

    (got, got_slope), (want, slope) = both(Z)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got_slope, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_greatest_slope_is_reached_and_not_passed(name: str) -> None:
    z = jnp.linspace(-20, 20, 400_001)
    relative = np.asarray(jax.jit(lambda z: slope((name,), 0, z))(z))
    assert float(relative.max()) == pytest.approx(1.0, abs=2e-4)
    assert float(relative.min()) >= 0.0


def test_a_traced_index_chooses_as_a_static_one_does() -> None:
    names = tuple(ACTIVATIONS)
    chosen = jax.jit(lambda index: activate(names, index, Z))
    batched = jax.jit(jax.vmap(lambda index: activate(names, index, Z)))(jnp.arange(len(names)))
    static = jax.jit(lambda: [activate(names, i, Z) for i in range(len(names))])()
    for i, name in enumerate(names):
        np.testing.assert_allclose(chosen(i), static[i], rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(batched[i], static[i], rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_function_that_is_not_chosen_cannot_spoil_the_gradient() -> None:
    """exp(1000) in an unselected branch must not turn the gradient of the selected one into NaN."""
    names = tuple(ACTIVATIONS)
    gradient = jax.vmap(jax.grad(lambda z, i: activate(names, i, z)), (0, None))
    every = jax.jit(jax.vmap(partial(gradient, jnp.array([-1000.0, 1000.0]))))(jnp.arange(len(names)))
    for name, gradients in zip(names, every, strict=True):
        assert np.isfinite(gradients).all(), name
