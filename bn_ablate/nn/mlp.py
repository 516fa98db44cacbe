"""The multilayer perceptron."""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.nn.block import Block
from bn_ablate.nn.dense import Dense
from bn_ablate.nn.entrance import enter, input_noise
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors


class MLP(nn.Module):
    """`depth` Dense blocks of `width` units, and a Dense layer to the logits."""

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
        x: Float[Array, "batch ..."],
        factors: Factors,
        noise: tuple[UInt16[Array, "batch width"], ...] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch classes"]:
        """The logits; images are flattened. Without `noise` nothing is dropped."""
        init = INITIALIZERS[self.kernel_init]
        x = enter(self.structure, x.reshape(x.shape[0], -1), factors, noise, train=train)
        for i in range(self.depth):
            linear = Dense(self.width, init(), self.native, dtype=self.dtype, parent=None)
            block = Block(i, linear, self.structure, name=f"block_{i}")
            x = block(x, factors, None if noise is None else noise[i], train=train)
        return Dense(self.classes, init(), self.native, use_bias=True, dtype=self.dtype, name="head")(x)

    def noise_shapes(self, batch_size: int, image_shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """The shapes of one step's random bits, block by block, and those of the input where some lane needs them."""
        features = math.prod(image_shape)
        return ((batch_size, self.width),) * self.depth + input_noise(self.structure, (batch_size, features))
