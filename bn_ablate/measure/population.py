"""Measures over a whole part of the data, of which a pass sees some: what two passes saw can be merged."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bn_ablate.measure.asked import measured
from bn_ablate.measure.layers import ZERO


class Moments(NamedTuple):
    """Of each channel: the number n of values, their mean, their biased variance; all 0 for no values."""

    n: Float[Array, ""]
    mean: Float[Array, " channels"]
    var: Float[Array, " channels"]

    def merged(self, more: Moments) -> Moments:
        """Those of both together, exactly (Chan, Golub & LeVeque 1983).

        With s the share of `more` in n, and Δ = mₘ − m, mean = m + s · Δ, and
        var = (1 − s) · v + s · vₘ + s · (1 − s) · Δ².
        """
        n = self.n + more.n
        share = more.n / n
        apart = more.mean - self.mean
        var = (1.0 - share) * self.var + share * more.var + share * (1.0 - share) * jnp.square(apart)
        return Moments(n, self.mean + share * apart, var)


def moments(x: Float[Array, "batch *places channels"], counted: Bool[Array, " batch"]) -> Moments:
    """The moments of each channel over the examples that are `counted`, and over all their places."""
    rows, mask = _rows(x, counted)
    n = jnp.sum(mask, dtype=jnp.float32)
    mean = jnp.sum(jnp.where(mask, rows, 0.0), 0) / n
    var = jnp.sum(jnp.where(mask, jnp.square(rows - mean[None]), 0.0), 0) / n
    return Moments(n, mean, var)


@measured("variance_shift")
def variance_shift(
    real: Float[Array, " units"], moving: Float[Array, " units"], epsilon: float | Float[Array, ""]
) -> dict[str, Float[Array, ""]]:
    """Compare the `real` variance of what arrives at a BN with the `moving` variance, which evaluation divides by."""
    ratio = jnp.log((real + epsilon) / (moving + epsilon))
    return {"variance_shift": jnp.exp(jnp.mean(jnp.abs(ratio))), "variance_ratio": jnp.exp(jnp.mean(ratio))}


@measured("mean_shift")
def mean_shift(
    real_mean: Float[Array, " units"],
    moving_mean: Float[Array, " units"],
    moving: Float[Array, " units"],
    epsilon: float | Float[Array, ""],
) -> dict[str, Float[Array, ""]]:
    """Compare the mean of what arrives at a BN with the moving one, in moving deviations."""
    off = (real_mean - moving_mean) / jnp.sqrt(moving + epsilon)
    return {"mean_shift": jnp.sqrt(jnp.mean(jnp.square(off)))}


class Zeros(NamedTuple):
    """Zeros of an activation's output; all 0 for no values.

    Attributes:
        n: values of each unit.
        alive: whether a unit is anything else than zero somewhere.
        share: share of unit × sample that is zero.
    """

    n: Float[Array, ""]
    alive: Bool[Array, " units"]
    share: Float[Array, ""]

    def merged(self, more: Zeros) -> Zeros:
        """Those of both together."""
        n = self.n + more.n
        return Zeros(n, self.alive | more.alive, self.share + more.n / n * (more.share - self.share))


def zeros(a: Float[Array, "batch *places units"], counted: Bool[Array, " batch"]) -> Zeros:
    """The zeros, |a| < 1e-12, among the examples that are `counted`; the share is NaN where some a is not finite."""
    rows, mask = _rows(a, counted)
    zero = jnp.abs(rows) < ZERO
    n = jnp.sum(mask, dtype=jnp.float32)
    share = jnp.sum(zero & mask, dtype=jnp.float32) / (n * rows.shape[-1])
    return Zeros(n, jnp.any(~zero & mask, 0), jnp.where(jnp.all(jnp.isfinite(rows) | ~mask), share, jnp.nan))


@measured("dead")
def units_off(zeros: Zeros) -> dict[str, Float[Array, ""]]:
    """The dead units, and the inactive ones, over the training set; NaN where some activation was not finite."""
    dead = jnp.mean(~zeros.alive, dtype=jnp.float32)
    return {"dead_train": jnp.where(jnp.isfinite(zeros.share), dead, jnp.nan), "inactive_train": zeros.share}


def _rows(x: Array, counted: Array) -> tuple[Array, Array]:
    """`x` as rows of channels in float32, and whether each row is counted, with an axis for the channels."""
    places = x[..., :1].shape
    mask = jnp.broadcast_to(counted.reshape(-1, *[1] * (len(places) - 1)), places)
    return x.reshape(-1, x.shape[-1]).astype(jnp.float32), mask.reshape(-1, 1)
