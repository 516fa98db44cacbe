"""What a parameter is, by its path: BN's γ or β, or one of all the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from bn_ablate.nn.traced import Factors

NORMS = ("norm", "input_norm")
"""What a network's Batch Normalizations are called: in a block, and on the network's input."""


def role(path: tuple[Any, ...]) -> Literal["scale", "bias", "rest"]:
    """Whether the parameter at `path` is a BN's scale (γ), a BN's bias (β), or any other."""
    *_, module, name = (entry.key for entry in path)
    return name if module in NORMS else "rest"


def with_initial_affine(params: Any, factors: Factors, residuals: Collection[int] = ()) -> Any:
    """`params` with every γ at `scale_init`, in the blocks `residuals` at its own, and every β at `bias_init`.

    For one lane, or for many: the leading axes of `params` then end in those of `factors`.
    """
    initial = {"scale": factors.scale_init, "bias": factors.bias_init, "end": factors.residual_scale_init}
    ends = {f"block_{i}" for i in residuals}

    def start(path: tuple[Any, ...], leaf: Array) -> Array:
        if (kind := role(path)) == "rest":
            return leaf
        at_end = kind == "scale" and path[0].key in ends
        return jnp.broadcast_to(jnp.asarray(initial["end" if at_end else kind])[..., None], leaf.shape)

    return jax.tree.map_with_path(start, params)


def keep_frozen(factors: Factors, before: Any, after: Any) -> Any:
    """The parameters `after` a step where the lane trains them, and those `before` it, bit for bit, where not."""
    trained = {"scale": factors.trains_scale, "bias": factors.trains_bias, "rest": factors.trains_rest}
    return jax.tree.map_with_path(lambda path, old, new: jnp.where(trained[role(path)], new, old), before, after)
