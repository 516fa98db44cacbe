"""Random keys by name, seed and step, never by the order in which code happens to run."""

from __future__ import annotations

import math
import zlib

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, UInt16


def key_of(seed: Int[Array, ""] | int, name: str, step: Int[Array, ""] | int | None = None) -> Array:
    """The key of `seed` for the purpose `name`, and for one `step` where there is one."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
    return key if step is None else jax.random.fold_in(key, step)


def dropout_bits(seed: Int[Array, ""], step: Int[Array, ""], shape: tuple[int, ...]) -> UInt16[Array, "..."]:
    """The 16 random bits behind each element's dropout at one step: the same for every lane of the seed.

    They are the halves of 32-bit words, low half first: half the work of drawing a word for each.
    """
    n = math.prod(shape)
    words = jax.random.bits(key_of(seed, "dropout", step), ((n + 1) // 2,), jnp.uint32)
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:n].reshape(shape)
