"""A small convolutional network in the manner of VGG (Simonyan & Zisserman 2015, arXiv 1409.1556)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.nn.block import Block
from bn_ablate.nn.convolution import Conv3x3
from bn_ablate.nn.dense import Dense
from bn_ablate.nn.entrance import enter, input_noise
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors


class _Site(NamedTuple):
    """One block: its output's height, width and channels (height 0: a Dense block), and whether it is pooled after."""

    height: int
    width: int
    channels: int
    pooled: bool


class CNN(nn.Module):
    """`depth` blocks: 3×3 convolutions, max-pooled 2×2 after every second one, then one Dense block; and the logits.

    The first two convolutions have `width` channels; their number doubles after each pooling. The Dense block has
    4 · `width` units. Depth 5 and width 32 on 32×32 images: C32 C32 P C64 C64 P D128.
    """

    depth: int
    width: int
    classes: int
    structure: Structure
    kernel_init: str
    native: bool
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        factors: Factors,
        noise: tuple[UInt16[Array, "batch ..."], ...] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch classes"]:
        """The logits. Without `noise` nothing is dropped."""
        init = INITIALIZERS[self.kernel_init]
        x = enter(self.structure, x, factors, noise, train=train)
        for i, site in enumerate(self._sites(x.shape[1:])):
            if site.height:
                linear: nn.Module = Conv3x3(site.channels, init(), self.native, self.dtype, parent=None)
            else:
                linear = Dense(site.channels, init(), self.native, dtype=self.dtype, parent=None)
                x = x.reshape(x.shape[0], -1)
            block = Block(i, linear, self.structure, name=f"block_{i}")
            x = block(x, factors, None if noise is None else noise[i], train=train)
            x = max_pool(x) if site.pooled else x
        return Dense(self.classes, init(), self.native, use_bias=True, dtype=self.dtype, name="head")(x)

    def noise_shapes(self, batch_size: int, image_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes of one step's random bits, block by block, and those of the input where some lane needs them."""
        blocks = tuple(
            (batch_size, site.height, site.width, site.channels) if site.height else (batch_size, site.channels)
            for site in self._sites(image_shape)
        )
        return blocks + input_noise(self.structure, (batch_size, *image_shape))

    def _sites(self, image_shape: tuple[int, ...]) -> Iterator[_Site]:
        height, width, _ = image_shape
        channels = self.width
        for i in range(self.depth - 1):
            pooled = i % 2 == 1 and min(height, width) >= 2
            yield _Site(height, width, channels, pooled)
            if pooled:
                height, width, channels = height // 2, width // 2, 2 * channels
        yield _Site(0, 0, 4 * self.width, pooled=False)


def max_pool(x: Float[Array, "batch h w c"]) -> Float[Array, "batch h/2 w/2 c"]:
    """The maximum of each 2×2 window; an odd last row or column is left out. Of equal ones one has the gradient.

    It is a choice by comparison, since the gradient of `jnp.max` asks where x equals the maximum: in a compiled program
    x may be computed twice and round differently, so that it does nowhere, and 0/0 follows.
    """
    n, h, w, c = x.shape
    windows = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    rows = _larger(windows[:, :, 0], windows[:, :, 1])
    return _larger(rows[:, :, :, 0], rows[:, :, :, 1])


def _larger(a: Array, b: Array) -> Array:
    """The larger of each two elements; NaN where one of them is."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
