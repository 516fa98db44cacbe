"""What a parameter is, by its path: BN's γ or β, an α in their place, or one of all the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

from bn_ablate.nn.choose import choose
from bn_ablate.nn.traced import Factors

NORMS = ("norm", "input_norm")
"""What a network's Batch Normalizations are called: in a block, and on the network's input."""


def role(path: tuple[Any, ...]) -> Literal["scale", "bias", "alpha", "rest"]:
    """Whether the parameter at `path` is a BN's scale (γ), its bias (β), the α of what stands for it, or any other."""
    *_, module, name = (entry.key for entry in path)
    return name if module in NORMS else "rest"


def with_initial_affine(params: Any, factors: Factors, residuals: Collection[int] = ()) -> Any:
    """`params` with γ at `scale_init`, in the blocks `residuals` at its own; β and α at `bias_init` and `alpha_init`.

    For one lane, or for many: the leading axes of `params` then end in those of `factors`.
    """
    initial = {"scale": factors.scale_init, "bias": factors.bias_init, "alpha": factors.alpha_init}
    initial["end"] = factors.residual_scale_init
    ends = {f"block_{i}" for i in residuals}

    def start(path: tuple[Any, ...], leaf: Array) -> Array:
        if (kind := role(path)) == "rest":
            return leaf
        at_end = kind == "scale" and path[0].key in ends
        return jnp.broadcast_to(jnp.asarray(initial["end" if at_end else kind])[..., None], leaf.shape)

    return jax.tree.map_with_path(start, params)


def standardized(params: Any, index: int | Int[Array, ""] = 1) -> Any:
    """`params` with kernels less their mean and divided by their deviation, for each output; as they are at `index` 0.

    Ŵ = (W − mean) / √(n (var + 1e-10)), over the n inputs of each output: kernels of length 1. Weight standardization
    (Qiao et al. 2019, arXiv 1903.10520) has no √n, which a normalizer behind takes away again; without one it keeps
    the variance as it is (Brock et al. 2021, arXiv 2101.08692).
    """

    def of_length_1(kernel: Array) -> Array:
        axes = tuple(range(kernel.ndim - 1))
        centred = kernel - jnp.mean(kernel, axes, keepdims=True)
        n = kernel.size // kernel.shape[-1]
        return centred * jax.lax.rsqrt(n * (jnp.mean(jnp.square(centred), axes, keepdims=True) + 1e-10))

    def seen(path: tuple[Any, ...], leaf: Array) -> Any:
        return choose(index, [lambda kernel: kernel, of_length_1], leaf) if path[-1].key == "kernel" else leaf

    return jax.tree.map_with_path(seen, params)


def keep_frozen(factors: Factors, before: Any, after: Any) -> Any:
    """The parameters `after` a step where the lane trains them, and those `before` it, bit for bit, where not."""
    trained = {"scale": factors.trains_scale, "bias": factors.trains_bias}
    trained |= dict.fromkeys(("alpha", "rest"), factors.trains_rest)
    return jax.tree.map_with_path(lambda path, old, new: jnp.where(trained[role(path)], new, old), before, after)
