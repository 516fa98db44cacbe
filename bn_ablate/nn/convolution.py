"""3×3 convolutions, as XLA's own or as matrix products.

Inside a loop, XLA's convolution on CPU is over fifty times slower than the same sum of products written as shifted
slices and one matrix product; what is faster elsewhere is for `make bench` to say.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

CACHED = 2**17
"""Elements of the patches that are made at a time: half a mebibyte, half of a core's cache on small machines."""


class Conv3x3(nn.Module):
    """A 3×3 convolution, stride 1, zero padding, no bias; `kernel` is (3, 3, in, out) as in Flax."""

    features: int
    kernel_init: Any
    native: bool
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w in"]) -> Float[Array, "batch h w out"]:
        """Convolve."""
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features), jnp.float32)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        return native_conv3x3(x, kernel) if self.native else matmul_conv3x3(x, kernel)


def native_conv3x3(x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n h w o"]:
    """XLA's convolution."""
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)


@jax.custom_vjp
def matmul_conv3x3(x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"]) -> Float[Array, "n h w o"]:
    """The same as matrix products of the nine shifted images, (h·w, 9·i), with the kernel, (9·i, o).

    A few images are done at a time, so that their shifted copies stay in a core's cache. With p the patches and g the
    cotangent, dkernel = Σ pᵀg over them, and dx is the convolution of g with the kernel turned by 180°.
    """
    return _in_chunks(x, kernel)


def _in_chunks(x: Array, kernel: Array) -> Array:
    n, h, w, i = x.shape
    matrix = kernel.reshape(9 * i, -1)
    size = _chunk(n, h * w * 9 * i)

    def convolve(some: Array) -> Array:
        return (_patches(some) @ matrix).reshape(size, h, w, -1)

    if size == n:
        return convolve(x)
    y: Array = lax.map(convolve, x.reshape(n // size, size, h, w, i)).reshape(n, h, w, -1)
    return y


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _in_chunks(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    n, h, w, i = x.shape
    o = kernel.shape[-1]
    size = _chunk(n, h * w * 9 * i)
    dx = _in_chunks(g, jnp.flip(kernel, (0, 1)).swapaxes(2, 3))

    def add(total: Array, some: tuple[Array, Array]) -> tuple[Array, None]:
        images, cotangents = some
        return total + _patches(images).T @ cotangents.reshape(-1, o), None

    chunks = (x.reshape(n // size, size, h, w, i), g.reshape(n // size, size, h, w, o))
    dkernel, _ = lax.scan(add, jnp.zeros((9 * i, o), kernel.dtype), chunks)
    return dx, dkernel.reshape(kernel.shape)


matmul_conv3x3.defvjp(_forward, _backward)


def _patches(x: Float[Array, "n h w i"]) -> Float[Array, "n*h*w 9*i"]:
    """The nine shifted images side by side, zero where they reach over the edge."""
    n, h, w, i = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)]
    return jnp.concatenate(shifted, axis=-1).reshape(n * h * w, 9 * i)


def _chunk(n: int, elements: int) -> int:
    """The largest divisor of `n` images of `elements` each that fit into the cache; 1 if even one does not."""
    return max((size for size in range(1, n + 1) if n % size == 0 and size * elements <= CACHED), default=1)
