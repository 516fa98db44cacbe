"""Measures of one layer: where the inputs of its activation fall, and which of its units are off."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

BAND = 3.0
SATURATED_BELOW = 0.1
ZERO = 1e-12


class LayerMeasures(NamedTuple):
    """Measures of one layer over a batch, with z the activation's input, a its output, f the activation.

    The shares and the steepness are NaN where some z is not finite: a network that diverged has no such measures.

    Attributes:
        mean: mean of z over units and samples.
        std: standard deviation of z over units and samples.
        within_3sigma: share of |z − m_u| ≤ 3·s_u, with m_u, s_u the unit's own mean and deviation over the batch.
        in_band: share of |z| ≤ 3 (the 99% rule of a standardized z).
        steepness: mean of |f'(z)| / max |f'|.
        saturated: share of unit × sample with |f'(z)| < 0.1 · max |f'|.
        zero_share: share of unit × sample with |a| < 1e-12, dropout not counted.
        dead: share of units with |a| < 1e-12 on every sample (Mehta et al. 2018, arXiv 1811.12495).
    """

    mean: Float[Array, ""]
    std: Float[Array, ""]
    within_3sigma: Float[Array, ""]
    in_band: Float[Array, ""]
    steepness: Float[Array, ""]
    saturated: Float[Array, ""]
    zero_share: Float[Array, ""]
    dead: Float[Array, ""]


def measure_layer(
    z: Float[Array, "batch *places units"],
    a: Float[Array, "batch *places units"],
    slope: Float[Array, "batch *places units"],
) -> LayerMeasures:
    """Measure a layer by its activation's input `z`, output `a` and relative slope `|f'(z)| / max |f'|`."""
    z, a = z.astype(jnp.float32), a.astype(jnp.float32)
    rows = tuple(range(z.ndim - 1))
    unit_mean = jnp.mean(z, rows)
    unit_std = jnp.sqrt(jnp.mean(jnp.square(z - unit_mean), rows))
    zero = jnp.abs(a) < ZERO
    mean = jnp.mean(z)

    def share(values: Array) -> Array:
        return jnp.where(jnp.isfinite(mean), jnp.mean(values, dtype=jnp.float32), jnp.nan)

    return LayerMeasures(
        mean=mean,
        std=jnp.std(z),
        within_3sigma=share(jnp.abs(z - unit_mean) <= 3.0 * unit_std),
        in_band=share(jnp.abs(z) <= BAND),
        steepness=share(slope),
        saturated=share(slope < SATURATED_BELOW),
        zero_share=share(zero),
        dead=share(jnp.all(zero, rows)),
    )


PERCENTILES = (15.0, 50.0, 85.0)


def unit_percentiles(z: Float[Array, "batch *places units"]) -> Float[Array, " 3"]:
    """The 15th, 50th and 85th percentile of the first unit of `z` over the batch, linearly interpolated.

    One typical unit, as in figure 1 of Ioffe & Szegedy 2015 (arXiv 1502.03167); averaged over units they would stand
    still. NaN where a value is NaN.
    """
    return jnp.percentile(z[..., 0].astype(jnp.float32).reshape(-1), jnp.asarray(PERCENTILES))
