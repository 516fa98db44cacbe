"""Activations: values, slopes and gradients, against JAX's own functions and its automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bn_ablate.config import names
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


def test_every_name_of_the_configuration_is_there_and_no_other() -> None:
    assert set(ACTIVATIONS) == set(names.ACTIVATIONS) == set(INDEPENDENT)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_agree_with_flax(name: str) -> None:
    names = ("identity", name)
    np.testing.assert_allclose(activate(names, 1, Z), INDEPENDENT[name](Z), rtol=1e-5, atol=1e-6)
    got = jax.vmap(jax.grad(lambda z: activate(names, jnp.int32(1), z)))(Z)
    want = jax.vmap(jax.grad(INDEPENDENT[name]))(Z)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_greatest_slope_is_reached_and_not_passed(name: str) -> None:
    z = jnp.linspace(-20, 20, 400_001)
    relative = slope((name,), 0, z)
    assert float(relative.max()) == pytest.approx(1.0, abs=2e-4)
    assert float(relative.min()) >= 0.0


def test_a_traced_index_chooses_as_a_static_one_does() -> None:
    names = tuple(ACTIVATIONS)
    chosen = jax.jit(lambda index: activate(names, index, Z))
    batched = jax.vmap(lambda index: activate(names, index, Z))(jnp.arange(len(names)))
    for i, name in enumerate(names):
        np.testing.assert_allclose(chosen(i), activate(names, i, Z), rtol=1e-6, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(batched[i], activate(names, i, Z), rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_function_that_is_not_chosen_cannot_spoil_the_gradient() -> None:
    """exp(1000) in an unselected branch must not turn the gradient of the selected one into NaN."""
    names = tuple(ACTIVATIONS)
    for i, name in enumerate(names):
        gradient = jax.vmap(jax.grad(lambda z, i=i: activate(names, jnp.int32(i), z)))(jnp.array([-1000.0, 1000.0]))
        assert bool(jnp.all(jnp.isfinite(gradient))), name
