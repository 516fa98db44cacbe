"""Loss and accuracy, example by example."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """−log softmax(logits)[label], in nats, computed in float32."""
    losses: Array = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels)
    return losses


def correct(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """1 where the largest logit is the label's, else 0; a row of logits that are not all finite is no answer: 0."""
    answered = jnp.all(jnp.isfinite(logits), axis=-1)
    return (answered & (jnp.argmax(logits, axis=-1) == labels)).astype(jnp.float32)
