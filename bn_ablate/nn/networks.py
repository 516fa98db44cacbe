"""Networks as Flax modules: the one that runs a description's blocks, and the base of users' own."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt16

from bn_ablate.config.architectures import NETWORKS, Layer, Layout, NetworkSpec, Shape
from bn_ablate.config.network_keys import Model
from bn_ablate.nn.block import Block
from bn_ablate.nn.convolution import Conv3x3
from bn_ablate.nn.dense import Dense
from bn_ablate.nn.dropout import drop, rate_at
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.norm import Normalization
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors, blank_factors

Noise = tuple[UInt16[Array, "batch ..."], ...] | None


class Network(nn.Module):
    """Base of networks: what a program knows of its network, and the parts to build it from.

    A network of one's own has a method `__call__(x, factors, noise=None, *, train)` under `nn.compact`, in which `x`
    passes `enter`, then `block` with each number from 0 to `depth` − 1, then `head`.

    Attributes:
        depth: blocks.
        width: of a block; what it counts is for the network to say.
        classes: logits.
        structure: what the lanes of the program choose from.
        kernel_init: name of the initializer.
        native: leave convolutions and kernels' gradients to XLA, not to the products that are faster on CPU.
        dtype: of the arithmetic; the parameters are float32.
    """

    depth: int
    width: int
    classes: int
    structure: Structure
    kernel_init: str
    native: bool
    dtype: jnp.dtype

    @nn.nowrap
    def dense(self, features: int) -> Dense:
        """A Dense layer without a bias, for a block."""
        return Dense(features, INITIALIZERS[self.kernel_init](), self.native, dtype=self.dtype, parent=None)

    @nn.nowrap
    def conv3x3(self, features: int, stride: int = 1) -> Conv3x3:
        """A 3×3 convolution without a bias, for a block."""
        return Conv3x3(features, INITIALIZERS[self.kernel_init](), self.native, self.dtype, stride, parent=None)

    @nn.nowrap
    def enter(self, x: Float[Array, "batch ..."], factors: Factors, noise: Noise, *, train: bool) -> Array:
        """[BN] -> [dropout] of the network's input, flattened before if BN is to be per feature.

        `LaneSettings.input_normed` says where BN is there; dropout is for site `ic`. The random bits of the input stand
        behind those of the blocks in `noise`.
        """
        self.sow("intermediates", "entered", x)
        if self.structure.input_normed != "none":
            norm = Normalization.of(self.structure, "input_norm")
            x = norm(x, factors.input_norm(self.structure), train=train)
        applies = {"block": False, "last": False, "before_norm": False, "ic": True}
        rate = rate_at(self.structure.drop_sites, factors.dropout_site, factors.dropout_rate, applies)
        if rate is None or noise is None:
            return x
        return drop(x, rate, noise[-1], self.structure.drop_kinds, factors.dropout_kind)

    @nn.nowrap
    def block(
        self,
        i: int,
        linear: nn.Module,
        x: Float[Array, "batch ..."],
        factors: Factors,
        noise: Noise,
        *,
        train: bool,
        shortcut: Float[Array, "batch ..."] | None = None,
    ) -> Array:
        """Block `i`, with any linear map that has a parameter `kernel`; `shortcut` is what is added in it."""
        return self.carrying_block(i, linear, x, factors, noise, train=train, shortcut=shortcut, carries=False)[0]

    @nn.nowrap
    def carrying_block(
        self,
        i: int,
        linear: nn.Module,
        x: Float[Array, "batch ..."],
        factors: Factors,
        noise: Noise,
        *,
        train: bool,
        shortcut: Float[Array, "batch ..."] | None = None,
        carries: bool = True,
    ) -> tuple[Array, Array]:
        """`block`, with the shortcut added to what `linear` gives; and that sum, for the next shortcut to carry on."""
        if not 0 <= i < self.depth:
            raise ValueError(f"= {self.depth} has no block {i}: they are counted from 0 to depth - 1")
        block = Block(i, linear, self.structure, carries, name=f"block_{i}")
        return block(x, factors, None if noise is None else noise[i], train=train, shortcut=shortcut)

    @nn.nowrap
    def head(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch classes"]:
        """The logits of `x`, flattened: a Dense layer with a bias."""
        init = INITIALIZERS[self.kernel_init]()
        head = Dense(self.classes, init, self.native, use_bias=True, dtype=self.dtype, name="head")
        return head(x.reshape(x.shape[0], -1))

    @classmethod
    def layout(cls, image: Shape, depth: int, width: int, classes: int) -> Layout:
        """The shapes of a network of this class for such images: see `traced_layout`."""
        structure, dtype = Structure(("pre",), ("relu",), "all"), jnp.dtype("float32")
        return traced_layout(cls(depth, width, classes, structure, "lecun_normal", True, dtype), image)


class Described(Network):
    """The network that a description describes."""

    spec: NetworkSpec

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."], factors: Factors, noise: Noise = None, *, train: bool
    ) -> Float[Array, "batch classes"]:
        """The logits. Without `noise` nothing is dropped."""
        x = x.reshape(x.shape[0], -1) if self.spec.flat else x
        reached = [self.enter(x, factors, noise, train=train)]
        carried = list(reached)
        for i, block in enumerate(self.spec.blocks):
            x, added = reached[i], None
            if block.shortcut:
                added = shortcut(carried[i + 1 - block.shortcut], self.spec.stride_to(i), block.features)
            if block.linear == "dense":
                linear: nn.Module = self.dense(block.features)
                x = x.reshape(x.shape[0], -1)
            else:
                linear = self.conv3x3(block.features, block.stride)
            carries = i in self.spec.carried
            both = self.carrying_block(i, linear, x, factors, noise, train=train, shortcut=added, carries=carries)
            for kept, some in zip((reached, carried), both, strict=True):
                kept.append(max_pool(some) if block.pool else some)
        x = reached[-1]
        return self.head(jnp.mean(x, tuple(range(1, x.ndim - 1))) if self.spec.mean else x)


def make_network(
    model: Model, image: Shape, classes: int, structure: Structure, native: bool, dtype: jnp.dtype
) -> Network:
    """The module of the network that `model` names, for such images."""
    network = NETWORKS[model.architecture]
    known = (model.depth, model.width, classes, structure, model.kernel_init, native, dtype)
    if network.is_module:
        own: Network = network.given(*known)
        return own
    return Described(*known, network.given(image, model.depth, model.width))


def traced_layout(network: Network, image: Shape) -> Layout:
    """The shapes of a network, whatever it does, found by tracing it.

    Raises:
        ValueError: it lacks some of the blocks that its depth counts.
        TypeError: it does not give logits.
    """
    name, depth = type(network).__name__, network.depth

    def look() -> Any:
        x = jnp.zeros((1, *image), jnp.float32)
        return network.init_with_output(jax.random.key(0), x, blank_factors(depth), train=False, mutable=True)

    logits, made = jax.eval_shape(look)
    if logits.shape != (1, network.classes):
        raise TypeError(f"{name} gives {logits.shape[1:]} for an example, and not {network.classes} logits")
    params, seen = made["params"], made["intermediates"]
    blocks = [f"block_{i}" for i in range(depth)]
    if missing := [block for block in blocks if block not in params]:
        raise ValueError(f"= {depth} does not fit {name}, which makes no {', '.join(missing)}")
    layers = [
        Layer(
            params[block]["linear"]["kernel"].size,
            seen[block]["linear_output"][0].shape[1:],
            "shortcut" in seen[block],
        )
        for block in blocks
    ]
    others = [leaves for part, leaves in params.items() if part not in (*blocks, "input_norm")]
    head = sum(leaf.size for leaf in jax.tree.leaves(others))
    carried = tuple(i for i, block in enumerate(blocks) if "carried" in seen[block])
    return Layout(seen["entered"][0].shape[1:], tuple(layers), head, carried)


def shortcut(x: Float[Array, "batch *places c"], stride: int, channels: int) -> Float[Array, "batch *fewer channels"]:
    """Every pixel, or every `stride`-th one from the first on; zeros for the channels that are new."""
    kept = x[:, ::stride, ::stride] if x.ndim == 4 else x
    return jnp.pad(kept, (*[(0, 0)] * (x.ndim - 1), (0, channels - x.shape[-1])))


def max_pool(x: Float[Array, "batch h w c"]) -> Float[Array, "batch h//2 w//2 c"]:
    """The maximum of each 2×2 window; an odd last row or column is left out. Of equal ones one has the gradient.

    It is a choice by comparison, since the gradient of `jnp.max` asks where x equals the maximum: in a compiled program
    x may be computed twice and round differently, so that it does nowhere, and 0/0 follows.
    """
    n, h, w, c = x.shape
    windows = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    rows = _larger(windows[:, :, 0], windows[:, :, 1])
    return _larger(rows[:, :, :, 0], rows[:, :, :, 1])


def _larger(a: Array, b: Array) -> Array:
    """The larger of each two elements; NaN where one of them is."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
