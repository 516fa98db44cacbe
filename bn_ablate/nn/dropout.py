"""Dropout with a traced rate, kind and place, behind one seam: `drop`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int, UInt16

from bn_ablate.config.names import DROPOUT_SITES
from bn_ablate.nn.choose import choose

_LEVELS = 65536


def drop(
    x: Float[Array, "*shape"],
    rate: float | Float[Array, ""],
    bits: UInt16[Array, "*shape"] | None,
    kinds: tuple[str, ...] = ("bernoulli",),
    kind: int | Int[Array, ""] = 0,
) -> Float[Array, "*shape"]:
    """Multiply each element by a random factor of mean 1, made of its 16 random bits b; at rate 0 it is exactly 1.

    `bernoulli` (Srivastava et al. 2014): 0 with probability `rate`, else 1/(1 − rate). An element is kept where b
    reaches the threshold round(65536 · rate), so the rate is resolved to 1/65536, and the same bits give nested masks
    at all rates. The divisor is that of the resolved rate.

    `uniform` (Li et al. 2018, arXiv 1801.05134, "Uout"): 1 + r with r uniform on (−rate, rate). r is rate times the
    middle of one of 65536 equal parts of (−1, 1), (2b + 1)/65536 − 1: its mean is 0, its variance rate²/3 · (1 − 2⁻³²).

    Without `bits` (evaluation, or a program in which no lane drops) x is returned.

    Args:
        x: any shape.
        rate: of one lane.
        bits: random bits, shaped as x.
        kinds: those that this program can choose from, static.
        kind: which of them.
    """
    if bits is None:
        return x
    if kinds == ("bernoulli",):
        threshold, scale = _threshold(rate)
        return jnp.where(bits.astype(jnp.int32) >= threshold, x * scale.astype(x.dtype), 0)
    factor = choose(kind, [partial(_FACTORS[name], bits) for name in kinds], jnp.asarray(rate, jnp.float32))
    # not by a product with 0: a unit that is not finite is dropped too
    return jnp.where(factor == 0.0, 0, x * factor).astype(x.dtype)


def rate_at(
    sites: tuple[str, ...],
    site: Int[Array, ""],
    rate: Float[Array, ""],
    applies: Mapping[str, bool | Bool[Array, ""]],
) -> Float[Array, ""] | None:
    """The dropout rate of a lane at one place of its network; None where no lane of the program drops there.

    Args:
        sites: those of the program's lanes.
        site: that of the lane, as an index into `DROPOUT_SITES`.
        rate: that of the lane, at its site.
        applies: for each site, whether it includes this place.
    """
    here = [applies[name] for name in sites]
    if all(included is False for included in here):
        return None
    if all(included is True for included in here):
        return rate
    included = jnp.stack([jnp.asarray(applies[name]) for name in DROPOUT_SITES])
    return jnp.where(included[site], rate, 0.0)


def _threshold(rate: float | Array) -> tuple[Array, Array]:
    threshold = jnp.round(jnp.asarray(rate, jnp.float32) * _LEVELS)
    return threshold.astype(jnp.int32), _LEVELS / (_LEVELS - threshold)


def _bernoulli(bits: Array, rate: Array) -> Array:
    threshold, scale = _threshold(rate)
    return jnp.where(bits.astype(jnp.int32) >= threshold, scale, 0.0)


def _uniform(bits: Array, rate: Array) -> Array:
    return 1.0 + rate * ((2.0 * bits.astype(jnp.float32) + 1.0) / _LEVELS - 1.0)


_FACTORS = {"bernoulli": _bernoulli, "uniform": _uniform}
