"""A normalizer of one's own: Batch Normalization without a square; `own_normalizer.toml` ablates it.

make ablate CONFIG=examples/own_normalizer.toml
"""

import math

import jax.numpy as jnp
from jax import Array

import bn_ablate as bn


@bn.normalizer("l1_batch", over="batch")
def l1_batch(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """L1 BN (Hoffer et al. 2018): √(π/2) times the mean of |x − mean|, which is the deviation of what is normal."""
    centre = jnp.mean(x, axes, keepdims=True)
    spread = math.sqrt(math.pi / 2) * jnp.mean(jnp.abs(x - centre), axes, keepdims=True)
    return centre, jnp.square(spread)
