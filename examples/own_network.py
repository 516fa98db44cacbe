"""Networks of one's own: one as a description of its blocks, one as a Flax module; `own_network.toml` ablates them.

make ablate CONFIG=examples/own_network.toml
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

import bn_ablate as bn
from bn_ablate.nn import Factors, Network, Noise


@bn.network("funnel", "Funnel")
def funnel(image: tuple[int, ...], depth: int, width: int) -> bn.NetworkSpec:
    """Dense blocks of `width` units, then half as many, and so on."""
    return bn.NetworkSpec(tuple(bn.BlockSpec("dense", max(1, width >> i)) for i in range(depth)), flat=True)


@bn.network("reminded", "Reminded MLP")
class Reminded(Network):
    """Dense blocks of `width` units, each of which sees the image beside what the block before it gives."""

    @nn.compact
    def __call__(self, x: Array, factors: Factors, noise: Noise = None, *, train: bool) -> Array:
        """The logits."""
        image = seen = self.enter(x.reshape(len(x), -1), factors, noise, train=train)
        for i in range(self.depth):
            h = self.block(i, self.dense(self.width), seen, factors, noise, train=train)
            seen = jnp.concatenate([h, image], axis=-1)
        return self.head(seen)
