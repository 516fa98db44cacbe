"""Measures of BN's scale and bias, gamma and beta."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from bn_ablate.measure.asked import measured

TINY = 1e-3


@measured("affine")
def measure_affine(gamma: Float[Array, " units"], beta: Float[Array, " units"]) -> dict[str, Float[Array, ""]]:
    """Measure one BN by its gamma and beta; what is not finite makes the measures of its own parameter so."""
    size = jnp.abs(gamma)
    beta_mean = jnp.mean(beta)
    finite = jnp.isfinite(beta_mean) & jnp.isfinite(jnp.mean(gamma))
    ratio = jnp.nanmedian(jnp.where(size > TINY, beta / size, jnp.nan))
    spread: dict[str, Callable[[Array], Array]] = {"mean": jnp.mean, "std": jnp.std, "min": jnp.min, "max": jnp.max}
    return {
        **{f"gamma_{what}": of(gamma) for what, of in spread.items()},
        **{f"beta_{what}": of(beta) for what, of in spread.items()},
        "beta_negative": jnp.where(jnp.isfinite(beta_mean), jnp.mean(beta < 0.0), jnp.nan),
        "beta_over_gamma": jnp.where(finite, ratio, jnp.nan),
    }
