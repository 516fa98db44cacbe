"""3×3 convolutions, as XLA's own or in the parts of it and of matrix products that are the fastest on CPU.

There XLA's convolution is quick for images of enough channels, but for the gradient of the kernel only where that is
written as a convolution forward; for few channels, and with strides, shifted slices and one matrix product are quicker.
Its convolution of many lanes at once is slow both ways. What is faster elsewhere is for `make bench` to say.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from bn_ablate.nn.initializers import fitted

CACHED = 2**17
"""Elements of the patches that are made at a time: half a mebibyte, half of a core's cache on small machines."""


DEEP = 16
"""Channels of an image from which on XLA's convolution is faster than the product of its patches."""


class Conv3x3(nn.Module):
    """A 3×3 convolution, no bias; `kernel` is (3, 3, in, out) as in Flax.

    Its windows are centred on every pixel, or for stride 2 on every other one from the first on, and see zeros beyond
    the edge: what PyTorch calls padding 1. (Flax's "SAME" has other centres for stride 2 and an even size.)
    """

    features: int
    kernel_init: Any
    native: bool
    dtype: jnp.dtype = jnp.dtype("float32")
    stride: int = 1

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w in"]) -> Float[Array, "batch rows columns out"]:
        """Convolve."""
        initialize = fitted(self.kernel_init, partial(self._convolve, x))
        return self._convolve(x, self.param("kernel", initialize, (3, 3, x.shape[-1], self.features), jnp.float32))

    def _convolve(self, x: Array, kernel: Array) -> Array:
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if self.native:
            return native_conv3x3(x, kernel, self.stride)
        y: Array = matmul_conv3x3(x, kernel, self.stride)
        return y


def native_conv3x3(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], stride: int = 1
) -> Float[Array, "n rows columns o"]:
    """XLA's convolution."""
    return _by_xla(x, kernel, stride)


def _by_xla(x: Array, kernel: Array, stride: int = 1) -> Array:
    padding, numbers = ((1, 1), (1, 1)), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=numbers)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def matmul_conv3x3(
    x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], stride: int = 1
) -> Float[Array, "n rows columns o"]:
    """The same, with gradients as matrix products where XLA's own are slow.

    With p the patches, (h·w, 9·i), of the nine shifted images, and g the cotangent, dkernel = Σ pᵀg over the images,
    and dx is the convolution of g, with zeros in the places that a stride left out, with the kernel turned by 180°.
    A convolution forward, and dkernel as one, is XLA's for one lane and `DEEP` images, else the product of the patches
    with the kernel, (9·i, o), or with g. A few images are done at a time, so that their patches stay in a core's cache.
    """
    return _convolve(x, kernel, stride)


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    if stride > 1 or x.shape[-1] < DEEP:
        return _in_chunks(x, kernel, stride)
    return _one_lane(x, kernel)  # type: ignore[no-any-return]


@jax.custom_batching.custom_vmap
def _one_lane(x: Array, kernel: Array) -> Array:
    return native_conv3x3(x, kernel)


@_one_lane.def_vmap
def _many_lanes(size: int, batched: Any, x: Array, kernel: Array) -> tuple[Array, bool]:
    return jax.vmap(partial(_in_chunks, stride=1), [0 if axis else None for axis in batched])(x, kernel), True


def _in_chunks(x: Array, kernel: Array, stride: int) -> Array:
    n, h, w, i = x.shape
    matrix = kernel.reshape(9 * i, -1)
    places = (-(-h // stride), -(-w // stride))
    size = _chunk(n, places[0] * places[1] * 9 * i)

    def convolve(some: Array) -> Array:
        return (_patches(some, stride) @ matrix).reshape(size, *places, -1)

    if size == n:
        return convolve(x)
    y: Array = lax.map(convolve, x.reshape(n // size, size, h, w, i)).reshape(n, *places, -1)
    return y


def _forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return _convolve(x, kernel, stride), (x, kernel)


def _backward(stride: int, kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    n, h, w, i = x.shape
    spread = g if stride == 1 else jnp.zeros((n, h, w, g.shape[-1]), g.dtype).at[:, ::stride, ::stride].set(g)
    dx = _convolve(spread, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), 1)
    if stride > 1 or i < DEEP:
        return dx, _kernel_by_patches(x, g, stride)
    return dx, _kernel_of_one_lane(x, g)


@jax.custom_batching.custom_vmap
def _kernel_of_one_lane(x: Array, g: Array) -> Array:
    """The convolution of the images with the cotangents, (h, w) wide, whose channels are the n examples.

    Its arrays are written in the order of a convolution forward, and behind a barrier, which keeps XLA from turning
    them back: in a loop its convolution of any other order takes a path that is far slower.
    """
    images = lax.optimization_barrier(x.transpose(3, 1, 2, 0))
    cotangents = lax.optimization_barrier(g.transpose(1, 2, 0, 3))
    return _by_xla(images, cotangents).transpose(1, 2, 0, 3)


@_kernel_of_one_lane.def_vmap
def _kernels_of_many_lanes(size: int, batched: Any, x: Array, g: Array) -> tuple[Array, bool]:
    return jax.vmap(partial(_kernel_by_patches, stride=1), [0 if axis else None for axis in batched])(x, g), True


def _kernel_by_patches(x: Array, g: Array, stride: int) -> Array:
    n, h, w, i = x.shape
    _, *places, o = g.shape
    size = _chunk(n, places[0] * places[1] * 9 * i)

    def add(total: Array, some: tuple[Array, Array]) -> tuple[Array, None]:
        images, cotangents = some
        # dkernelᵀ, as a product along a last axis: see `nn.dense.transposed_product`
        return total + lax.optimization_barrier(cotangents.reshape(-1, o).T) @ _patches(images, stride), None

    chunks = (x.reshape(n // size, size, h, w, i), g.reshape(n // size, size, *places, o))
    transposed, _ = lax.scan(add, jnp.zeros((o, 9 * i), g.dtype), chunks)
    return transposed.T.reshape(3, 3, i, o)


matmul_conv3x3.defvjp(_forward, _backward)


def _patches(x: Float[Array, "n h w i"], stride: int) -> Float[Array, "places 9*i"]:
    """The nine shifted images side by side, at every place or every other one, zero where they reach over the edge."""
    _, h, w, i = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, dy : dy + h : stride, dx : dx + w : stride] for dy in range(3) for dx in range(3)]
    return jnp.concatenate(shifted, axis=-1).reshape(-1, 9 * i)


def _chunk(n: int, elements: int) -> int:
    """The largest divisor of `n` images of `elements` each that fit into the cache; 1 if even one does not."""
    return max((size for size in range(1, n + 1) if n % size == 0 and size * elements <= CACHED), default=1)
