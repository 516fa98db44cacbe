"""What is normalized by: statistics of the batch, of an example, or kept ones; and what comes of x by them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from bn_ablate.config.extensions import ExtensionError
from bn_ablate.config.normalizers import Normalizer
from bn_ablate.nn.channels import by_channel

THROUGH = "none"
"""In the place of a normalizer's name: hand the input through."""


class How(NamedTuple):
    """What of a normalization is known before its program is compiled.

    Attributes:
        kinds: the normalizers that this program can choose from, by name, and `THROUGH`.
        groups: into which `over = "group"` divides the channels.
    """

    kinds: tuple[str, ...]
    groups: int = 1


class Statistics(NamedTuple):
    """What is subtracted, and what a root of divides, by channel."""

    mean: Float[Array, " channels"]
    var: Float[Array, " channels"]


class Kept(NamedTuple):
    """What some normalizers look at when they train besides the batch.

    Attributes:
        statistics: those that evaluation normalizes by, or those of another batch.
        started: whether a batch was seen, 0 or 1; where a normalizer looks back.
        r_max, d_max: how far, as a factor and in deviations, the batch's statistics may lie off these.
        instead: whether these are taken in the place of the batch's, as constants; they are not, when not given.
    """

    statistics: Statistics
    started: Float[Array, ""] | None
    r_max: float | Float[Array, ""]
    d_max: float | Float[Array, ""]
    instead: bool | Bool[Array, ""] | None = None


class Through(NamedTuple):
    """Which statistics the gradient of x passes through; one that it does not counts as a constant there.

    Attributes:
        mean: what is subtracted.
        square: what a root of divides.
    """

    mean: bool | Bool[Array, ""]
    square: bool | Bool[Array, ""]


class Beside(NamedTuple):
    """What only some normalizers, or some lanes, have a use for.

    Attributes:
        kept: needed where `Normalizer.looks_back`; no gradient passes through it.
        through: what the gradient passes through; all statistics, when not given.
        alpha: of the tanh, needed where `Normalizer.squashes`.
        outside: whether ε is added to the root, and not to what is under it; it is not, when not given.
    """

    kept: Kept | None = None
    through: Through | None = None
    alpha: Float[Array, " 1"] | None = None
    outside: bool | Bool[Array, ""] | None = None

    @property
    def passing(self) -> Through | None:
        """Which of the batch's own statistics the gradient passes through; None: all of them."""
        if self.kept is None or self.kept.instead is None:
            return self.through
        mean, square = self.through or Through(True, True)
        own = jnp.logical_not(self.kept.instead)
        return Through(own & mean, own & square)


NOTHING = Beside()


def standardize(how: How, kind: Normalizer, rows: Array, epsilon: Any, beside: Beside) -> tuple[Array, Statistics]:
    """x̂ for statistics of any values; and the statistics, where they are by channel."""
    kept, through = beside.kept, beside.through
    *_, channels = rows.shape
    places = tuple(range(1, rows.ndim - 1))
    groups = how.groups if channels % how.groups == 0 else 1  # where they do not fit, no lane normalizes
    parted = rows.reshape(*rows.shape[:-1], groups, -1) if kind.over == "group" else rows
    axes = {"batch": (0, *places), "example": (*places, rows.ndim - 1), "group": (*places, rows.ndim)}
    own = partial(_statistics, kind, axes=axes.get(kind.over, places))
    if kind.looks_back and (kept is None or kept.started is None):
        raise ValueError("a normalizer that looks at what it keeps has to be given it")
    if kind.running == "first" and kept:  # the batch's only until one was seen, as constants
        first = tuple(by_channel(rows, *kept.statistics))
        started = kept.started is not None and kept.started > 0
        centre, square = jax.lax.cond(started, lambda _: first, own, jax.lax.stop_gradient(parted))
    else:
        centre, square = own(parted)
    if through:
        centre, square = (
            jnp.where(passes, some, jax.lax.stop_gradient(some))
            for passes, some in zip(through, (centre, square), strict=True)
        )
    of_batch = centre, square
    if kind.running == "average" and kept and kept.instead is not None:
        pairs = zip(by_channel(rows, *kept.statistics), of_batch, strict=True)
        centre, square = (jnp.where(kept.instead, there, here) for there, here in pairs)
    xhat = ((parted - centre) * inverse_root(square, epsilon, beside.outside)).reshape(rows.shape)
    if kind.corrected and kept:
        r, d = jax.lax.stop_gradient(_correction(kept, centre, square, epsilon, beside.outside))
        xhat = xhat * r + d
    if kind.over == "batch":
        return xhat, Statistics(*(some.reshape(channels) for some in of_batch))
    zero = jnp.zeros(channels, jnp.float32)
    return xhat, Statistics(zero, zero)


def inverse_root(square: Array, epsilon: Any, outside: bool | Array | None) -> Array:
    """1/√(square + ε), or 1/(√square + ε) where ε is `outside`; no gradient where the square is 0 then."""
    inside: Array = jax.lax.rsqrt(square + epsilon)
    return inside if outside is None else jnp.where(outside, 1.0 / (_root(square) + epsilon), inside)


def _root(square: Array) -> Array:
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def divisor(square: Array, epsilon: Any, outside: bool | Array | None) -> Array:
    """√(square + ε), or √square + ε where ε is `outside`: 1 / `inverse_root`."""
    inside: Array = jnp.sqrt(square + epsilon)
    return inside if outside is None else jnp.where(outside, _root(square) + epsilon, inside)


def of_batch(kind: Normalizer, rows: Float[Array, "batch ... channels"]) -> Statistics:
    """What a normalizer over a batch would subtract, and what a root of divide, for all of it."""
    found = _statistics(kind, rows, tuple(range(rows.ndim - 1)))
    return Statistics(*(some.reshape(rows.shape[-1]) for some in found))


def _correction(kept: Kept, mean: Array, var: Array, epsilon: Any, outside: bool | Array | None) -> tuple[Array, Array]:
    """R and d of batch renormalization, which make the batch's statistics the kept ones where no bound is reached."""
    of_kept = divisor(kept.statistics.var, epsilon, outside)
    kept_mean, deviation = by_channel(mean, kept.statistics.mean, of_kept)
    r = jnp.clip(divisor(var, epsilon, outside) / deviation, 1 / kept.r_max, kept.r_max)
    return r, jnp.clip((mean - kept_mean) / deviation, -kept.d_max, kept.d_max)


def _statistics(kind: Normalizer, rows: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """What is subtracted from the rows, and what a root of divides, with axes of length 1 for `axes`."""
    if kind.statistics:
        return _of_user(kind.statistics, rows, axes)
    mean = jnp.mean(rows, axes, keepdims=True)
    if kind.square == "mean square":
        return jnp.zeros_like(mean), jnp.mean(jnp.square(rows), axes, keepdims=True)
    return mean, jnp.mean(jnp.square(rows - mean), axes, keepdims=True)


def _of_user(statistics: Callable[..., Any], rows: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """What a user's function gives.

    Raises:
        ExtensionError: it is not what `bn.normalizer` asks for.
    """
    found = statistics(rows, axes)
    wanted = tuple(1 if axis in axes else length for axis, length in enumerate(rows.shape))
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(found)]
    if shapes != [wanted, wanted]:
        given = ", ".join(map(str, shapes))
        raise ExtensionError(
            f"{statistics.__name__} gives {given} for x of {rows.shape} and the axes {axes}: it must give two arrays, "
            f"what is subtracted and what a root of divides, of {wanted}, as with keepdims=True"
        )
    centre, square = found
    return centre, square
