"""Measures of how much of a layer's activations differs from example to example."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from bn_ablate.measure.asked import measured


@measured("ranks")
def ranks(a: Float[Array, "batch *places units"]) -> dict[str, Float[Array, ""]]:
    """The stable rank ‖A‖_F² / ‖A‖₂² of activations, and the mean cosine between two of the examples.

    With âᵢ the n examples of length 1, the latter is (‖Σ âᵢ‖² − Σ ‖âᵢ‖²) / (n (n − 1)).
    """
    rows, examples = a.reshape(-1, a.shape[-1]), a.reshape(a.shape[0], -1)
    gram = rows.T @ rows
    lengths = jnp.sqrt(jnp.sum(jnp.square(examples), 1, keepdims=True))
    directions = examples / jnp.where(lengths > 0, lengths, 1.0)
    n = a.shape[0]
    alike = jnp.sum(jnp.square(jnp.sum(directions, 0))) - jnp.sum(jnp.square(directions))
    return {
        "stable_rank": jnp.trace(gram) / jnp.linalg.eigvalsh(gram)[-1],
        "example_cosine": alike / (n * max(n - 1, 1)),
    }
