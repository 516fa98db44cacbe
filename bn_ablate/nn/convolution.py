"""3×3 convolutions, as XLA's own or as matrix products.

Inside a loop, XLA's convolution on CPU is over fifty times slower than the same sum of products written as shifted
slices and one matrix product; what is faster elsewhere is for `make bench` to say.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


class Conv3x3(nn.Module):
    """A 3×3 convolution, stride 1, zero padding, no bias; `kernel` is (3, 3, in, out) as in Flax."""

    features: int
    kernel_init: Any
    native: bool

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w in"]) -> Float[Array, "batch h w out"]:
        """Convolve."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        return native_conv3x3(x, kernel) if self.native else matmul_conv3x3(x, kernel)


def native_conv3x3(x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n h w o"]:
    """XLA's convolution."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)


def matmul_conv3x3(x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n h w o"]:
    """The same as one matrix product of the nine shifted images, (n·h·w, 9·i), with the kernel, (9·i, o)."""
    n, h, w, i = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)]
    patches = jnp.concatenate(shifted, axis=-1).reshape(n * h * w, 9 * i)
    return (patches @ kernel.reshape(9 * i, -1)).reshape(n, h, w, -1)
