"""Random keys by name, seed and step, never by the order in which code happens to run."""

from __future__ import annotations

import math
import zlib
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Int, UInt16


def key_of(seed: Int[Array, ""] | int, name: str, step: Int[Array, ""] | int | None = None) -> Array:
    """The key of `seed` for the purpose `name`, and for one `step` where there is one."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
    return key if step is None else jax.random.fold_in(key, step)


@partial(jax.jit, static_argnums=2)
def dropout_bits(
    seed: Int[Array, ""] | int, step: Int[Array, ""] | int, shapes: tuple[tuple[int, ...], ...]
) -> tuple[UInt16[Array, "..."], ...]:
    """The 16 random bits of each element's dropout at one step, block by block; the same for all lanes of a seed."""
    return tuple(_bits(key_of(seed, f"dropout/block_{i}", step), shape) for i, shape in enumerate(shapes))


def _bits(key: Array, shape: tuple[int, ...]) -> UInt16[Array, "..."]:
    """16 random bits an element.

    They are the halves of 32-bit words, low half first: half the work of drawing a word for each.
    """
    n = math.prod(shape)
    words = jax.random.bits(key, ((n + 1) // 2,), jnp.uint32)
    return lax.bitcast_convert_type(words, jnp.uint16).reshape(-1)[:n].reshape(shape)
