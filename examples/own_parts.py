"""An activation and an optimizer of one's own; `own_parts.toml` ablates them.

make ablate CONFIG=examples/own_parts.toml
"""

import jax
import jax.numpy as jnp
import optax
from jax import Array

import bn_ablate as bn


@bn.activation("mish")
def mish(z: Array) -> Array:
    """Mish (Misra 2020): z · tanh(softplus(z))."""
    return z * jnp.tanh(jax.nn.softplus(z))


@bn.optimizer("lion")
def lion(decay: optax.GradientTransformation, momentum: optax.GradientTransformation) -> optax.GradientTransformation:
    """Lion (Chen et al. 2023), with its decoupled decay; it has a momentum of its own."""
    return optax.chain(optax.scale_by_lion(), decay)
