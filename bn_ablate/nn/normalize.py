"""The arithmetic of normalizers, forward and backward, behind one seam: `normalize`."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.nn.channels import by_channel, shifted
from bn_ablate.nn.choose import choose
from bn_ablate.nn.statistics import NOTHING, THROUGH, Beside, How, Statistics, inverse_root, standardize


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def normalize(
    how: How,
    index: int | Int[Array, ""],
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float | Float[Array, ""],
    beside: Beside = NOTHING,
) -> tuple[Float[Array, "... channels"], Statistics]:
    """Normalize x as in training, by normalizer number `index` of `how.kinds`, then scale and shift.

    With the mean and the variance of n values, x̂ = (x − mean)/√(var + ε) and a cotangent g of x̂, the gradient is
    dx = (g − Σg/n − x̂ Σ(g·x̂)/n)/√(var + ε), without the second term where no mean is subtracted, and without root and
    third term where nothing divides. Where the gradient does not pass `through` the mean or the variance, it has no
    second or third term either. With ε `outside`, √(var + ε) is √var + ε, and the third term that times
    (√var + ε)/√var. γ and β have dscale = Σ g·x̂ and dbias = Σ g, g then of y; where all values of a
    channel share statistics, these are the sums above. The loss must not depend on the returned statistics otherwise:
    they go to the moving averages.

    Args:
        how: what the program can choose from, static.
        index: which of it, a Python int or a traced scalar.
        x: any places between its first axis, the examples, and its last, the channels.
        scale, bias: γ and β.
        epsilon: added to the variance, or to the mean square.
        beside: what some normalizers need besides.

    Returns:
        y, and the batch's mean and biased variance, in float32; 0 where they are not taken.
    """
    y, statistics, _ = _normalize(how, index, x, scale, bias, epsilon, beside)
    return y, statistics


def _normalize(how: How, index: int | Array, *args: Any) -> tuple[Array, Statistics, _Used]:
    found: tuple[Array, Statistics, _Used] = choose(index, [partial(_forward, how, name) for name in how.kinds], *args)
    return found


def _normalize_forward(
    how: How,
    index: int | Array,
    x: Array,
    scale: Array,
    bias: Array,
    epsilon: Any,
    beside: Beside,
) -> Any:
    y, statistics, used = _normalize(how, index, x, scale, bias, epsilon, beside)
    return (y, statistics), (index, x, used, scale, epsilon, beside)


def _normalize_backward(how: How, residuals: Any, cotangents: Any) -> tuple[Any, ...]:
    index, x, *others = residuals
    branches = [partial(_backward, how, name) for name in how.kinds]
    dx, dscale, dbias, of_alpha = choose(index, branches, x, cotangents[0], *others)
    return None, dx, dscale, dbias, None, Beside(alpha=of_alpha)


normalize.defvjp(_normalize_forward, _normalize_backward)


def _forward(
    how: How, name: str, x: Array, scale: Array, bias: Array, epsilon: Any, beside: Beside
) -> tuple[Array, Statistics, _Used]:
    """What `normalize` gives, and what it was normalized by, where the gradient is written out for it."""
    zero = jnp.zeros(x.shape[-1:], jnp.float32)
    if name == THROUGH:
        return x, Statistics(zero, zero), _Used(zero, zero)
    kind, rows = NORMALIZERS[name], x.astype(jnp.float32)
    if kind.squashes:
        squashed = _squashed(rows, beside.alpha)
        return shifted(squashed, scale, bias).astype(x.dtype), Statistics(zero, zero), _Used(zero, zero)
    if not kind.of_plain_batch:
        xhat, statistics = standardize(how, kind, rows, epsilon, beside)
        return shifted(xhat, scale, bias).astype(x.dtype), statistics, _Used(zero, zero)
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(rows, axes)
    (minus,) = by_channel(x, mean)
    var = jnp.mean(jnp.square(rows - minus), axes) if kind.square != "nothing" else zero
    own = used = Statistics(mean, var)
    if beside.kept and beside.kept.instead is not None:
        pairs = zip(beside.kept.statistics, own, strict=True)
        used = Statistics(*(jnp.where(beside.kept.instead, there, here) for there, here in pairs))
        (minus,) = by_channel(x, used.mean)
    centred = rows if kind.centre == "nothing" else rows - minus
    if kind.square == "nothing":
        return shifted(centred, scale, bias).astype(x.dtype), own, _Used(used.mean, jnp.ones_like(mean))
    inverse = inverse_root(used.var, epsilon, beside.outside)
    return shifted(centred, inverse * scale, bias).astype(x.dtype), own, _Used(used.mean, inverse)


def _backward(
    how: How,
    name: str,
    x: Array,
    g: Array,
    used: _Used,
    scale: Array,
    epsilon: Any,
    beside: Beside,
) -> tuple[Array, Array, Array, Array | None]:
    """The gradients for x, γ, β and α."""
    of_alpha = None if beside.alpha is None else jnp.zeros_like(beside.alpha)
    if name == THROUGH:
        zero = jnp.zeros(x.shape[-1:], jnp.float32)
        return g, zero, zero, of_alpha
    kind, rows, g = NORMALIZERS[name], x.astype(jnp.float32), g.astype(jnp.float32)
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    dbias = jnp.sum(g, axes)
    if kind.squashes:
        xhat, pull_back = jax.vjp(_squashed, rows, beside.alpha)
        dx, of_alpha = pull_back(g * by_channel(g, scale)[0])
        return dx.astype(x.dtype), jnp.sum(g * xhat, axes), dbias, of_alpha
    if not kind.of_plain_batch:
        of_rows = partial(standardize, how, kind, epsilon=epsilon, beside=beside)
        xhat, pull_back, _ = jax.vjp(of_rows, rows, has_aux=True)
        (dx,) = pull_back(g * by_channel(g, scale)[0])
        return dx.astype(x.dtype), jnp.sum(g * xhat, axes), dbias, of_alpha
    minus, by = by_channel(rows, *used)
    xhat = deviation = (rows - minus) * by
    if kind.centre == "nothing":
        xhat = rows * by
    dscale = jnp.sum(g * xhat, axes)
    of_mean, of_square = dbias / n, dscale / n
    if through := beside.passing:
        of_mean, of_square = jnp.where(through.mean, of_mean, 0.0), jnp.where(through.square, of_square, 0.0)
    if beside.outside is not None:
        root = 1.0 - epsilon * used.inverse  # as a share of what divides
        steeper = jnp.where(root > 0, 1.0 / jnp.where(root > 0, root, 1.0), 0.0)
        of_square = jnp.where(beside.outside, of_square * steeper, of_square)
    mean_of_g, mean_of_product, outer = by_channel(rows, of_mean, of_square, scale * used.inverse)
    dx = g if kind.centre == "nothing" else g - mean_of_g
    dx = dx if kind.square == "nothing" else dx - deviation * mean_of_product
    return (outer * dx).astype(x.dtype), dscale, dbias, of_alpha


def _squashed(rows: Array, alpha: Array | None) -> Array:
    """tanh(α · x), the same α for all values (Zhu et al. 2025, arXiv 2503.10622)."""
    if alpha is None:
        raise ValueError("a tanh in the place of a normalizer has to be given its alpha")
    return jnp.tanh(alpha[0] * rows)


class _Used(NamedTuple):
    """What a plain batch was normalized by: the mean, and the inverse of what divides."""

    mean: Array
    inverse: Array
