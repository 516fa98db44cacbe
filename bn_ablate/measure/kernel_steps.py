"""Measures of kernels, and of how far training steps take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bn_ablate.measure.asked import measured


@measured("kernels")
def measure_kernel(kernel: Float[Array, "*inputs units"], rate: float | Float[Array, ""]) -> dict[str, Array]:
    """The L2 norm of a kernel, and the learning `rate` in units of its square (van Laarhoven 2017, 1706.05350)."""
    square = jnp.sum(jnp.square(kernel))
    return {"kernel_norm": jnp.sqrt(square), "effective_rate": rate / square}


@measured("gradient_cosine")
def gradient_cosine(
    loss_and_gradient: Callable[[Any], tuple[Array, Any]],
    next_loss_and_gradient: Callable[[Any], tuple[Array, Any]],
    params: Any,
    rate: float | Float[Array, ""],
) -> dict[str, Float[Array, ""]]:
    """The cosine of the angle between a gradient, and that of other examples after a step along it."""
    _, here = loss_and_gradient(params)
    _, there = next_loss_and_gradient(jax.tree.map(lambda leaf, g: leaf - rate * g, params, here))

    def product(one: Any, other: Any) -> Array:
        return jnp.asarray(sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), one, other))))

    return {"gradient_cosine": product(here, there) / jnp.sqrt(product(here, here) * product(there, there))}
