"""The residual network for small images (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.config.names import residual_blocks
from bn_ablate.nn.block import Block
from bn_ablate.nn.convolution import Conv3x3
from bn_ablate.nn.dense import Dense
from bn_ablate.nn.entrance import enter, input_noise
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors


class _Site(NamedTuple):
    """One block: its output's height, width and channels, and its stride."""

    height: int
    width: int
    channels: int
    stride: int


class ResNet(nn.Module):
    """`depth` blocks of a 3×3 convolution each: a stem, then two for each residual; mean over places; the logits.

    The residuals are divided over three stages of `width`, 2 · `width` and 4 · `width` channels; where they cannot be
    equal, the first stages have one more. The first convolution of a later stage has stride 2. Depth 19 and width 16
    are ResNet-20, whose twentieth layer is the one to the logits.

    A shortcut has no parameters ("option A"): where a stage begins it keeps every other pixel, and zeros stand for the
    channels that it lacks. It is added in the second block of its residual; `Block` says where.
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
        x = carried = enter(self.structure, x, factors, noise, train=train)
        for i, site in enumerate(self._sites(x.shape[1:])):
            linear = Conv3x3(site.channels, init(), self.native, self.dtype, site.stride, parent=None)
            block = Block(i, linear, self.structure, name=f"block_{i}")
            begins, ends = i % 2 == 1, i > 0 and i % 2 == 0
            carried = shortcut(x, site.stride, site.channels) if begins else carried
            bits = None if noise is None else noise[i]
            x = block(x, factors, bits, train=train, shortcut=carried if ends else None)
        return Dense(self.classes, init(), self.native, use_bias=True, dtype=self.dtype, name="head")(
            jnp.mean(x, (1, 2))
        )

    def noise_shapes(self, batch_size: int, image_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes of one step's random bits, block by block, and those of the input where some lane needs them."""
        sites = self._sites(image_shape)
        blocks = tuple((batch_size, site.height, site.width, site.channels) for site in sites)
        return blocks + input_noise(self.structure, (batch_size, *image_shape))

    def _sites(self, image_shape: tuple[int, ...]) -> Iterator[_Site]:
        height, width, _ = image_shape
        for stage, stride in residual_blocks(self.depth):
            height, width = -(-height // stride), -(-width // stride)
            yield _Site(height, width, self.width * 2**stage, stride)


def shortcut(x: Float[Array, "batch h w c"], stride: int, channels: int) -> Float[Array, "batch h/stride w/stride c2"]:
    """Every pixel, or for stride 2 every other one from the first on; zeros for the channels that are new."""
    return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, channels - x.shape[-1])))
