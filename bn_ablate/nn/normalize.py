"""The arithmetic of normalizers, forward and backward, behind one seam: `normalize`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from bn_ablate.config.extensions import ExtensionError
from bn_ablate.config.normalizers import NORMALIZERS, Normalizer
from bn_ablate.nn.channels import by_channel, shifted
from bn_ablate.nn.choose import choose

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
        statistics: those that evaluation normalizes by.
        started: whether a batch was seen, 0 or 1.
        r_max, d_max: how far, as a factor and in deviations, the batch's statistics may lie off these.
    """

    statistics: Statistics
    started: Float[Array, ""]
    r_max: float | Float[Array, ""]
    d_max: float | Float[Array, ""]


class Through(NamedTuple):
    """Which statistics the gradient of x passes through; one that it does not counts as a constant there.

    Attributes:
        mean: what is subtracted.
        square: what a root of divides.
    """

    mean: bool | Bool[Array, ""]
    square: bool | Bool[Array, ""]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def normalize(
    how: How,
    index: int | Int[Array, ""],
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float | Float[Array, ""],
    kept: Kept | None = None,
    through: Through | None = None,
) -> tuple[Float[Array, "... channels"], Statistics]:
    """Normalize x as in training, by normalizer number `index` of `how.kinds`, then scale and shift.

    With the mean and the variance of n values, x̂ = (x − mean)/√(var + ε) and a cotangent g of x̂, the gradient is
    dx = (g − Σg/n − x̂ Σ(g·x̂)/n)/√(var + ε), without the second term where no mean is subtracted, and without root and
    third term where nothing divides. Where the gradient does not pass `through` the mean or the variance, it has no
    second or third term either. γ and β have dscale = Σ g·x̂ and dbias = Σ g, g then of y; where all values of a
    channel share statistics, these are the sums above. The loss must not depend on the returned statistics otherwise:
    they go to the moving averages.

    Args:
        how: what the program can choose from, static.
        index: which of it, a Python int or a traced scalar.
        x: any places between its first axis, the examples, and its last, the channels.
        scale, bias: γ and β.
        epsilon: added to the variance, or to the mean square.
        kept: needed where `Normalizer.looks_back`; no gradient passes through it.
        through: all statistics, when not given.

    Returns:
        y, and the batch's mean and biased variance, in float32; 0 where they are not taken.
    """
    y, statistics, _ = _normalize(how, index, x, scale, bias, epsilon, kept)
    return y, statistics


def _normalize(how: How, index: int | Array, *args: Any) -> tuple[Array, Statistics, Array]:
    found: tuple[Array, Statistics, Array] = choose(index, [partial(_forward, how, name) for name in how.kinds], *args)
    return found


def _normalize_forward(
    how: How,
    index: int | Array,
    x: Array,
    scale: Array,
    bias: Array,
    epsilon: Any,
    kept: Kept | None,
    through: Through | None,
) -> Any:
    y, statistics, inverse = _normalize(how, index, x, scale, bias, epsilon, kept)
    return (y, statistics), (index, x, statistics.mean, inverse, scale, epsilon, kept, through)


def _normalize_backward(how: How, residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    index, x, *others = residuals
    branches = [partial(_backward, how, name) for name in how.kinds]
    dx, dscale, dbias = choose(index, branches, x, cotangents[0], *others)
    return None, dx, dscale, dbias, None, None, None


normalize.defvjp(_normalize_forward, _normalize_backward)


def _forward(
    how: How, name: str, x: Array, scale: Array, bias: Array, epsilon: Any, kept: Kept | None
) -> tuple[Array, Statistics, Array]:
    """What `normalize` gives, and the inverse of what divides, where the gradient is written out for it."""
    zero = jnp.zeros(x.shape[-1:], jnp.float32)
    if name == THROUGH:
        return x, Statistics(zero, zero), zero
    kind, rows = NORMALIZERS[name], x.astype(jnp.float32)
    if not kind.of_plain_batch:
        xhat, statistics = _standardized(how, kind, rows, epsilon, kept)
        return shifted(xhat, scale, bias).astype(x.dtype), statistics, zero
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(rows, axes)
    (minus,) = by_channel(x, mean)
    centred = rows if kind.centre == "nothing" else rows - minus
    if kind.square == "nothing":
        return shifted(centred, scale, bias).astype(x.dtype), Statistics(mean, zero), jnp.ones_like(mean)
    var = jnp.mean(jnp.square(rows - minus), axes)
    inverse = jax.lax.rsqrt(var + epsilon)
    return shifted(centred, inverse * scale, bias).astype(x.dtype), Statistics(mean, var), inverse


def _backward(
    how: How,
    name: str,
    x: Array,
    g: Array,
    mean: Array,
    inverse: Array,
    scale: Array,
    epsilon: Any,
    kept: Kept | None,
    through: Through | None,
) -> tuple[Array, Array, Array]:
    """The gradients for x, γ and β."""
    if name == THROUGH:
        zero = jnp.zeros(x.shape[-1:], jnp.float32)
        return g, zero, zero
    kind, rows, g = NORMALIZERS[name], x.astype(jnp.float32), g.astype(jnp.float32)
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    dbias = jnp.sum(g, axes)
    if not kind.of_plain_batch:
        standardized = partial(_standardized, how, kind, epsilon=epsilon, kept=kept, through=through)
        xhat, pull_back, _ = jax.vjp(standardized, rows, has_aux=True)
        (dx,) = pull_back(g * by_channel(g, scale)[0])
        return dx.astype(x.dtype), jnp.sum(g * xhat, axes), dbias
    minus, by = by_channel(rows, mean, inverse)
    xhat = deviation = (rows - minus) * by
    if kind.centre == "nothing":
        xhat = rows * by
    dscale = jnp.sum(g * xhat, axes)
    of_mean, of_square = dbias / n, dscale / n
    if through:
        of_mean, of_square = jnp.where(through.mean, of_mean, 0.0), jnp.where(through.square, of_square, 0.0)
    mean_of_g, mean_of_product, outer = by_channel(rows, of_mean, of_square, scale * inverse)
    dx = g if kind.centre == "nothing" else g - mean_of_g
    dx = dx if kind.square == "nothing" else dx - deviation * mean_of_product
    return (outer * dx).astype(x.dtype), dscale, dbias


def _standardized(
    how: How, kind: Normalizer, rows: Array, epsilon: Any, kept: Kept | None, through: Through | None = None
) -> tuple[Array, Statistics]:
    """x̂ for statistics of any values; and the statistics, where they are by channel."""
    *_, channels = rows.shape
    places = tuple(range(1, rows.ndim - 1))
    groups = how.groups if channels % how.groups == 0 else 1  # where they do not fit, no lane normalizes
    parted = rows.reshape(*rows.shape[:-1], groups, -1) if kind.over == "group" else rows
    axes = {"batch": (0, *places), "example": (*places, rows.ndim - 1), "group": (*places, rows.ndim)}
    own = partial(_statistics, kind, axes=axes.get(kind.over, places))
    if kind.looks_back and kept is None:
        raise ValueError("a normalizer that looks at what it keeps has to be given it")
    if kind.running == "first" and kept:  # the batch's only until one was seen, as constants
        first = tuple(by_channel(rows, *kept.statistics))
        centre, square = jax.lax.cond(kept.started > 0, lambda _: first, own, jax.lax.stop_gradient(parted))
    else:
        centre, square = own(parted)
    if through:
        centre, square = (
            jnp.where(passes, some, jax.lax.stop_gradient(some))
            for passes, some in zip(through, (centre, square), strict=True)
        )
    xhat = ((parted - centre) * jax.lax.rsqrt(square + epsilon)).reshape(rows.shape)
    if kind.corrected and kept:
        r, d = jax.lax.stop_gradient(_correction(kept, centre, square, epsilon))
        xhat = xhat * r + d
    if kind.over == "batch":
        return xhat, Statistics(centre.reshape(channels), square.reshape(channels))
    zero = jnp.zeros(channels, jnp.float32)
    return xhat, Statistics(zero, zero)


def _correction(kept: Kept, mean: Array, var: Array, epsilon: Any) -> tuple[Array, Array]:
    """R and d of batch renormalization, which make the batch's statistics the kept ones where no bound is reached."""
    kept_mean, deviation = by_channel(mean, kept.statistics.mean, jnp.sqrt(kept.statistics.var + epsilon))
    r = jnp.clip(jnp.sqrt(var + epsilon) / deviation, 1 / kept.r_max, kept.r_max)
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
