"""Histograms with fixed bins, so that those of many lanes can be added up."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

LOW, HIGH, BINS = -10.0, 10.0, 100


def histogram(values: Float[Array, "..."]) -> Int[Array, " 102"]:
    """Counts of `values` below LOW, in BINS equal bins of [LOW, HIGH), and from HIGH on; NaN is not counted."""
    values = values.reshape(-1).astype(jnp.float32)
    place = jnp.floor((values - LOW) * (BINS / (HIGH - LOW)))
    bins = jnp.clip(jnp.nan_to_num(place), -1, BINS).astype(jnp.int32) + 1
    return jnp.zeros(BINS + 2, jnp.int32).at[bins].add(jnp.where(jnp.isnan(values), 0, 1))
