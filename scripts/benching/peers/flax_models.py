"""The network in Flax Linen with Flax's own layers, for one placement and activation."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benching.cases import Layer, Structure

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
    "relu": nn.relu,
    "gelu": lambda z: nn.gelu(z, approximate=False),
}


class Network(nn.Module):
    """`layers`, each with BN, activation and dropout, then the logits.

    The dropout rate is a float, for `nn.Dropout`, which wants it static; or a traced scalar, for a mask drawn here.
    """

    layers: tuple[Layer, ...]
    structure: Structure
    bn_momentum: float
    classes: int = 10

    @nn.compact
    def __call__(self, x: jax.Array, rate: float | jax.Array, *, train: bool) -> jax.Array:
        """The logits; needs the random number generator `dropout` when training."""
        bias = self.structure.placement != "pre"
        for layer in self.layers:
            if layer.kind == "conv":
                x = nn.Conv(layer.units, (3, 3), use_bias=bias)(x)
            else:
                x = nn.Dense(layer.units, use_bias=bias)(x.reshape(len(x), -1))
            if self.structure.placement == "pre":
                x = nn.BatchNorm(not train, momentum=self.bn_momentum)(x)
            x = ACTIVATIONS[self.structure.activation](x)
            if self.structure.placement == "post":
                x = nn.BatchNorm(not train, momentum=self.bn_momentum)(x)
            if isinstance(rate, float):
                x = nn.Dropout(rate, deterministic=not train)(x)
            elif train:
                kept = jax.random.bernoulli(self.make_rng("dropout"), 1.0 - rate, x.shape)
                x = jnp.where(kept, x / (1.0 - rate), 0.0)
            if layer.pooled:
                x = nn.max_pool(x, (2, 2), (2, 2))
        return nn.Dense(self.classes)(x.reshape(len(x), -1))


class Arrays:
    """The examples of a case on the device."""

    def __init__(self, path: str) -> None:
        with np.load(path) as arrays:
            self.x, self.y = jnp.asarray(arrays["x"]), jnp.asarray(arrays["y"])
            self.positions = jnp.asarray(arrays["positions"])
