"""Loss and accuracy, example by example."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """−log softmax(logits)[label], in nats, computed in float32.

    It is log(1 + eᵒ), with o the logsumexp of the other logits less the label's, and so keeps its relative precision
    where a network is sure: log Σ exp(logits) less the label's logit would be 0 there, or off by the rounding of the
    logits. Where the label's logit is +∞, it is NaN: a network that diverged has no loss.
    """
    logits = logits.astype(jnp.float32)
    mine = labels[:, None] == jnp.arange(logits.shape[-1])[None]
    label = jnp.sum(jnp.where(mine, logits, 0.0), -1)
    odds = jax.nn.logsumexp(logits, -1, where=~mine) - label
    return jnp.where(label == jnp.inf, jnp.nan, jax.nn.softplus(odds))


def smoothed(
    losses: Float[Array, " batch"], logits: Float[Array, "batch classes"], smoothing: float | Float[Array, ""]
) -> Float[Array, " batch"]:
    """The cross-entropy of labels of which `smoothing` s is spread evenly over the K classes (Szegedy et al. 2016).

    (1 − s) · loss + s/K · Σₖ −log softmax(logits)ₖ, from the `losses` of the labels themselves, in nats; these, bit for
    bit, where s is 0.
    """
    logits = logits.astype(jnp.float32)
    even = jax.nn.logsumexp(logits, -1) - jnp.mean(logits, -1)
    return jnp.where(smoothing > 0, (1.0 - smoothing) * losses + smoothing * even, losses)


def correct(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """1 where the largest logit is the label's, else 0; a row of logits that are not all finite is no answer: 0."""
    answered = jnp.all(jnp.isfinite(logits), axis=-1)
    return (answered & (jnp.argmax(logits, axis=-1) == labels)).astype(jnp.float32)
