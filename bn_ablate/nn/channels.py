"""Values that belong to channels, beside arrays whose last axis the channels are."""

from __future__ import annotations

import jax
from jax import Array
from jaxtyping import Float


def by_channel(x: Float[Array, "*places channels"], *vectors: Float[Array, " channels"]) -> list[Array]:
    """The vectors with axes of length 1 for the places of x, as NumPy would add them unasked."""
    return [jax.lax.expand_dims(vector, range(x.ndim - 1)) for vector in vectors]


def shifted(
    x: Float[Array, "*places channels"], by: Float[Array, " channels"], plus: Float[Array, " channels"]
) -> Array:
    """Each channel of x times its `by`, and its `plus` added."""
    by, plus = by_channel(x, by, plus)
    return x * by + plus
