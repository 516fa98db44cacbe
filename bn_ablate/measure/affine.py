"""Measures of BN's scale and bias, gamma and beta."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

TINY = 1e-3


class AffineMeasures(NamedTuple):
    """The gamma and beta of one BN over its units; gamma counts as 1, and beta as 0, where the lane has none.

    Attributes:
        gamma_mean, gamma_std, gamma_min, gamma_max: of gamma.
        beta_mean, beta_std, beta_min, beta_max: of beta.
        beta_negative: share of units with beta < 0.
        beta_over_gamma: median of beta / |gamma| over the units with |gamma| > 1e-3; NaN where there is none. For a
            normal x̂ a unit of BN -> ReLU is off on the share Φ(−beta / |gamma|) of inputs, whatever the sign of gamma.
    """

    gamma_mean: Float[Array, ""]
    gamma_std: Float[Array, ""]
    gamma_min: Float[Array, ""]
    gamma_max: Float[Array, ""]
    beta_mean: Float[Array, ""]
    beta_std: Float[Array, ""]
    beta_min: Float[Array, ""]
    beta_max: Float[Array, ""]
    beta_negative: Float[Array, ""]
    beta_over_gamma: Float[Array, ""]


def measure_affine(gamma: Float[Array, " units"], beta: Float[Array, " units"]) -> AffineMeasures:
    """Measure one BN by its gamma and beta; what is not finite makes the measures of its own parameter so."""

    def spread(values: Array) -> tuple[Array, Array, Array, Array]:
        return jnp.mean(values), jnp.std(values), jnp.min(values), jnp.max(values)

    size = jnp.abs(gamma)
    beta_mean = jnp.mean(beta)
    finite = jnp.isfinite(beta_mean) & jnp.isfinite(jnp.mean(gamma))
    ratio = jnp.nanmedian(jnp.where(size > TINY, beta / size, jnp.nan))
    return AffineMeasures(
        *spread(gamma),
        *spread(beta),
        beta_negative=jnp.where(jnp.isfinite(beta_mean), jnp.mean(beta < 0.0), jnp.nan),
        beta_over_gamma=jnp.where(finite, ratio, jnp.nan),
    )
