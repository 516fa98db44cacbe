"""Random keys by name, seed and step, never by the order in which code happens to run."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, UInt16


def key_of(seed: Int[Array, ""] | int, name: str, step: Int[Array, ""] | int | None = None) -> Array:
    """The key of `seed` for the purpose `name`, and for one `step` where there is one."""
    key = jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))
    return key if step is None else jax.random.fold_in(key, step)


@partial(jax.jit, static_argnums=(2, 3))
def norm_noise(
    seed: Int[Array, ""] | int, step: Int[Array, ""] | int, channels: tuple[tuple[str, int], ...], batch: int
) -> dict[str, Float[Array, "2 batch channels"]]:
    """The normal numbers of each normalizer at one step, by its block; the same for all lanes of a seed."""
    keys = {name: key_of(seed, f"norm_noise/{name}", step) for name, _ in channels}
    return {name: jax.random.normal(keys[name], (2, batch, n)) for name, n in channels}


@partial(jax.jit, static_argnums=(2, 3))
def noise_after(
    seed: Int[Array, ""] | int, step: Int[Array, ""] | int, channels: tuple[tuple[str, int], ...], batch: int
) -> dict[str, Float[Array, "2 batch channels"]]:
    """The noise of strength 1 behind each normalizer at one step, by its block: on the scale, and on the mean.

    Of each channel and step there is a noise of its own, of which examples draw: its deviation from 1 is u/4 on the
    scale, and its mean is v/2, with u even on (0, 1) and v on (−1, 1); examples lie off these by n/10, n normal, and by
    w/10, w even on (−1, 1). These are the constants of Santurkar et al. (2018, arXiv 1805.11604)
    from memory: they were not held to the paper's text.
    """

    def drawn(name: str, n: int) -> Array:
        of_scale, of_mean, scales, means = jax.random.split(key_of(seed, f"noise_after/{name}", step), 4)
        scale = 0.25 * jax.random.uniform(of_scale, (1, n)) + 0.1 * jax.random.normal(scales, (batch, n))
        even = partial(jax.random.uniform, minval=-1.0, maxval=1.0)
        return jnp.stack([scale, 0.5 * even(of_mean, (1, n)) + 0.1 * even(means, (batch, n))])

    return {name: drawn(name, n) for name, n in channels}


NOISES: dict[str, Callable[..., dict[str, Array]]] = {"noise": norm_noise, "noise_after": noise_after}
"""Key of `norm` -> what is drawn where a lane says it, by (seed, step, channels, batch)."""


@partial(jax.jit, static_argnums=2)
def dropout_bits(
    seed: Int[Array, ""] | int, step: Int[Array, ""] | int, shapes: tuple[tuple[int, ...], ...]
) -> tuple[UInt16[Array, "..."], ...]:
    """The 16 random bits of each element's dropout at one step, block by block; the same for all lanes of a seed.

    They are the halves of 32-bit words, low half first: half the work of drawing a word for each. Blocks of one size
    are drawn together, each from its own key.
    """
    names = jnp.asarray([zlib.crc32(f"dropout/block_{i}".encode()) for i in range(len(shapes))], jnp.uint32)
    keys = jax.vmap(lambda name: jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), name), step))(names)
    bits: dict[int, Array] = {}
    for size in {math.prod(shape) for shape in shapes}:
        mine = [i for i, shape in enumerate(shapes) if math.prod(shape) == size]
        words = jax.vmap(lambda key, n=(size + 1) // 2: jax.random.bits(key, (n,), jnp.uint32))(keys[jnp.asarray(mine)])
        halves = lax.bitcast_convert_type(words, jnp.uint16).reshape(len(mine), -1)
        bits |= {i: halves[place, :size].reshape(shapes[i]) for place, i in enumerate(mine)}
    return tuple(bits[i] for i in range(len(shapes)))
