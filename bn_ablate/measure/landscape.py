"""Measures of the loss surface along the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from bn_ablate.measure.asked import measured

STEP_SIZES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
"""Step sizes to look at, as multiples of the lane's learning rate."""


@measured("landscape")
def landscape(
    loss_and_gradient: Callable[[Any], tuple[Array, Any]], params: Any, learning_rate: float | Float[Array, ""]
) -> dict[str, Float[Array, ""]]:
    """The loss L and its gradient g along one gradient step (Santurkar et al. 2018, arXiv 1805.11604).

    With θₖ = θ − ηₖ·g(θ), for all parameters θ, at the step sizes ηₖ, `STEP_SIZES` times `learning_rate`.

    Args:
        loss_and_gradient: of the parameters, on one fixed batch.
        params: the parameters θ.
        learning_rate: the unit of the step sizes.
    """
    sizes = jnp.asarray(learning_rate, jnp.float32) * jnp.asarray((0.0, *STEP_SIZES), jnp.float32)

    def look(here: Any, size: Array) -> tuple[Any, tuple[Array, Array, Array]]:
        loss, gradient = loss_and_gradient(jax.tree.map(lambda p, g: p - size * g, params, here))
        change = _norm(jax.tree.map(jnp.subtract, gradient, here))
        # the first step has size 0: it finds the gradient that all others go along
        here = jax.tree.map(lambda first, kept: jnp.where(size == 0.0, first, kept), gradient, here)
        return here, (loss, change, _norm(here))

    _, (losses, changes, norms) = lax.scan(look, jax.tree.map(jnp.zeros_like, params), sizes)
    losses, changes = losses[1:], changes[1:]
    return {
        "loss_range": jnp.max(losses) - jnp.min(losses),
        "gradient_change": jnp.max(changes),
        "smoothness": jnp.max(changes / (sizes[1:] * norms[1:])),
    }


def _norm(tree: Any) -> Float[Array, ""]:
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)))
