"""Dropout with a traced rate, behind one seam: `drop`."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, UInt16

_LEVELS = 65536


def drop(
    x: Float[Array, "*shape"], rate: float | Float[Array, ""], bits: UInt16[Array, "*shape"] | None
) -> Float[Array, "*shape"]:
    """Zero each element with probability `rate` and divide the others by 1 − rate (Srivastava et al. 2014).

    An element is kept where its 16 random bits reach the threshold round(65536 · rate), so the rate is resolved to
    1/65536, is exact at 0, and the same bits give nested masks at all rates. The divisor is that of the resolved rate.
    Without `bits` (evaluation, or a program in which no lane drops) x is returned.
    """
    if bits is None:
        return x
    threshold = jnp.round(jnp.asarray(rate, jnp.float32) * _LEVELS)
    scale = _LEVELS / (_LEVELS - threshold)
    return jnp.where(bits.astype(jnp.int32) >= threshold.astype(jnp.int32), x * scale.astype(x.dtype), 0)
