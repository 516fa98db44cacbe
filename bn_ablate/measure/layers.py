"""Measures of one layer: where the inputs of its activation fall, and which of its units are off.

`config.measures` declares and defines them, by the names that they have here.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from bn_ablate.measure.asked import measured

BAND = 3.0
SATURATED_BELOW = 0.1
ZERO = 1e-12


def measure_layer(
    z: Float[Array, "batch *places units"],
    a: Float[Array, "batch *places units"],
    slope: Float[Array, "batch *places units"],
) -> dict[str, Float[Array, ""]]:
    """Measure a layer by its activation's input `z`, output `a` and relative slope `|f'(z)| / max |f'|`.

    The shares and the steepness are NaN where some z is not finite: a network that diverged has no such measures.
    """
    z, a = z.astype(jnp.float32), a.astype(jnp.float32)
    rows = tuple(range(z.ndim - 1))
    unit_mean = jnp.mean(z, rows, keepdims=True)
    unit_std = jnp.sqrt(jnp.mean(jnp.square(z - unit_mean), rows, keepdims=True))
    zero = jnp.abs(a) < ZERO
    mean = jnp.mean(z)

    def share(values: Array) -> Array:
        return jnp.where(jnp.isfinite(mean), jnp.mean(values, dtype=jnp.float32), jnp.nan)

    return {
        "mean": mean,
        "std": jnp.std(z),
        "within_3sigma": share(jnp.abs(z - unit_mean) <= 3.0 * unit_std),
        "in_band": share(jnp.abs(z) <= BAND),
        "steepness": share(slope),
        "saturated": share(slope < SATURATED_BELOW),
        "zero_share": share(zero),
        "dead": share(jnp.all(zero, rows)),
    }


PERCENTILES = (15.0, 50.0, 85.0)


@measured("percentiles")
def unit_percentiles(z: Float[Array, "batch *places units"]) -> dict[str, Float[Array, ""]]:
    """`PERCENTILES` of the first unit of `z` over the batch, linearly interpolated; NaN where a value is NaN.

    One typical unit, as in figure 1 of Ioffe & Szegedy 2015 (arXiv 1502.03167); averaged over units they would stand
    still.
    """
    found = jnp.percentile(z[..., 0].astype(jnp.float32).reshape(-1), jnp.asarray(PERCENTILES))
    return {f"unit_p{percent:.0f}": value for percent, value in zip(PERCENTILES, found, strict=True)}
