"""The multilayer perceptron."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.nn.block import Block
from bn_ablate.nn.dense import Dense
from bn_ablate.nn.factors import Factors, Structure
from bn_ablate.nn.initializers import INITIALIZERS


class MLP(nn.Module):
    """`depth` Dense blocks of `width` units, and a Dense layer to the logits; it convolves nothing, in either way."""

    depth: int
    width: int
    classes: int
    structure: Structure
    kernel_init: str
    dtype: jnp.dtype = jnp.dtype("float32")
    native_convolution: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch ..."],
        factors: Factors,
        noise: tuple[UInt16[Array, "batch width"], ...] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch classes"]:
        """The logits; images are flattened. Without `noise` nothing is dropped."""
        init = INITIALIZERS[self.kernel_init]
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            linear = Dense(self.width, init(), False, dtype=self.dtype, parent=None)
            block = Block(i, linear, self.structure, name=f"block_{i}")
            x = block(x, factors, None if noise is None else noise[i], train=train)
        return Dense(self.classes, init(), False, use_bias=True, dtype=self.dtype, name="head")(x)

    def noise_shapes(self, batch_size: int, image_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes of one step's random bits, block by block."""
        return ((batch_size, self.width),) * self.depth
