"""Measures of the loss gradient."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def gradient_norms(gradients: dict[str, Any], depth: int) -> Float[Array, " depth"]:
    """The L2 norm of the loss gradient for the kernel of each hidden block, first to last."""
    kernels = [gradients[f"block_{i}"]["linear"]["kernel"] for i in range(depth)]
    return jnp.stack([jnp.sqrt(jnp.sum(jnp.square(kernel.astype(jnp.float32)))) for kernel in kernels])
