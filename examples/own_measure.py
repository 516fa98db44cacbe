"""A measure of one's own: how heavy the tails of the activations' inputs are; `own_measure.toml` asks for it.

make ablate CONFIG=examples/own_measure.toml
"""

import jax.numpy as jnp
from jax import Array

import bn_ablate as bn


@bn.measured(
    "kurtosis",
    label="excess kurtosis of the activation's input",
    definition="mean over units of E[(z − E z)⁴] / Var(z)² − 3 over samples: 0 where z is normal",
    unit="ratio",
)
def kurtosis(z: Array) -> Array:
    """The excess kurtosis of each unit, and its mean over those that vary."""
    rows = z.reshape(-1, z.shape[-1])
    centred = rows - rows.mean(0, keepdims=True)
    variance = jnp.square(centred).mean(0)
    of_units = (centred**4).mean(0) / jnp.where(variance > 0, jnp.square(variance), jnp.nan) - 3.0
    return jnp.nanmean(of_units)
