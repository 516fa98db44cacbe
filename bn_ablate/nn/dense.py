"""Dense layers, with the gradient of their kernel in the form that is the fastest on CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from bn_ablate.nn.channels import by_channel
from bn_ablate.nn.initializers import fitted


class Dense(nn.Module):
    """y = x · kernel (+ bias); `kernel` is (in, out) as in Flax.

    Attributes:
        features: of y.
        kernel_init: the initializer of the kernel.
        native: leave the kernel's gradient to XLA; else it is a `transposed_product`.
        use_bias: add a bias, which starts at 0.
        dtype: of the arithmetic; the parameters are float32.
    """

    features: int
    kernel_init: Any
    native: bool
    use_bias: bool = False
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Float[Array, "batch in"]) -> Float[Array, "batch out"]:
        """The product."""
        initialize = fitted(self.kernel_init, partial(self._product, x))
        y = self._product(x, self.param("kernel", initialize, (x.shape[-1], self.features), jnp.float32))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
            y = y + by_channel(y, bias)[0].astype(self.dtype)
        return y

    def _product(self, x: Array, kernel: Array) -> Array:
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        return x @ kernel if self.native else product(x, kernel)


@jax.custom_vjp
def product(x: Float[Array, "n i"], kernel: Float[Array, "i o"]) -> Float[Array, "n o"]:
    """X · kernel, whose gradients are g · kernelᵀ and, as `transposed_product`, xᵀ · g."""
    return x @ kernel


def transposed_product(x: Float[Array, "n i"], g: Float[Array, "n o"]) -> Float[Array, "i o"]:
    """xᵀ · g as a product along a last axis, for which XLA has its fastest kernels on CPU.

    It would fold the transpositions into a product along a first axis; the barriers keep them apart. For few columns,
    as in a layer to the logits, the product is gᵀ · x, transposed.
    """
    if x.shape[1] <= 4 * g.shape[1]:
        product: Array = lax.optimization_barrier(x.T) @ g
        return product
    transposed: Array = lax.optimization_barrier(lax.optimization_barrier(g.T) @ x)
    return transposed.T


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _backward(kept: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return g @ kernel.T, transposed_product(x, g)


product.defvjp(_forward, _backward)
