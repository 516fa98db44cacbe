"""The multilayer perceptron of the ablations."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, UInt16

from bn_ablate.nn.activations import activate
from bn_ablate.nn.dropout import drop
from bn_ablate.nn.factors import POST, PRE, Factors
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.norm import BatchNorm

IDENTITY = 0


class Block(nn.Module):
    """Dense -> [BN] -> activation -> [BN] -> [dropout].

    The two possible activations, of which one is the identity, stand around the one normalization; so both placements
    cost one normalization, and the same code is a real branch lane by lane and a cheap select under `vmap`.
    A Dense bias before BN would be taken away again with the batch mean: where BN comes `pre`, it is not added.

    Sows, as intermediates: `dense_output` (before BN), `activation_input`, `activation_output` (after it, before BN
    and dropout).
    """

    index: int
    width: int
    activations: tuple[str, ...]
    kernel_init: str

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch features"],
        factors: Factors,
        bits: UInt16[Array, "batch width"] | None,
        *,
        train: bool,
    ) -> Float[Array, "batch width"]:
        """Run the block for one lane; `bits` are the random bits of its dropout mask."""
        norm = factors.norm(self.index)
        post = factors.placement == POST
        bias = self.param("bias", nn.initializers.zeros_init(), (self.width,), jnp.float32)
        bias = jnp.where(norm.enabled & (factors.placement == PRE), 0.0, bias)
        dense = (
            nn.Dense(self.width, use_bias=False, kernel_init=INITIALIZERS[self.kernel_init](), name="dense")(x) + bias
        )
        early = activate(self.activations, jnp.where(post, factors.activation, IDENTITY), dense)
        normed = BatchNorm(name="norm")(early, norm, train=train)
        late = activate(self.activations, jnp.where(post, IDENTITY, factors.activation), normed)
        self.sow("intermediates", "dense_output", dense)
        self.sow("intermediates", "activation_input", jnp.where(post, dense, normed))
        self.sow("intermediates", "activation_output", jnp.where(post, early, late))
        return drop(late, factors.dropout_rate, bits)


class MLP(nn.Module):
    """`depth` blocks of `width` units, and a Dense layer to the logits."""

    depth: int
    width: int
    classes: int
    activations: tuple[str, ...]
    kernel_init: str

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch ..."],
        factors: Factors,
        noise: UInt16[Array, "depth batch width"] | None = None,
        *,
        train: bool,
    ) -> Float[Array, "batch classes"]:
        """The logits; images are flattened. Without `noise` nothing is dropped."""
        x = x.reshape(x.shape[0], -1)
        for i in range(self.depth):
            block = Block(i, self.width, self.activations, self.kernel_init, name=f"block_{i}")
            x = block(x, factors, None if noise is None else noise[i], train=train)
        return nn.Dense(self.classes, kernel_init=INITIALIZERS[self.kernel_init](), name="head")(x)

    def noise_shape(self, batch_size: int) -> tuple[int, ...]:
        """The shape of one step's random bits."""
        return (self.depth, batch_size, self.width)
