"""Batch Normalization with traced settings, behind one seam: `BatchNorm`.

Ioffe & Szegedy 2015 (arXiv 1502.03167). The variance is the biased one, in the batch and in the moving average, as in
Flax; PyTorch keeps the unbiased one in its moving average.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float

from bn_ablate.nn.choose import choose


class NormSettings(NamedTuple):
    """What a lane may set of its Batch Normalization; every field may be a Python value or a traced scalar.

    Attributes:
        enabled: normalize, or hand the input through untouched.
        use_scale: multiply by gamma. Without it gamma counts as 1.
        use_bias: add beta. Without it beta counts as 0.
        momentum: decay of the moving statistics.
        epsilon: added to the variance.
    """

    enabled: bool | Bool[Array, ""]
    use_scale: bool | Bool[Array, ""] = True
    use_bias: bool | Bool[Array, ""] = True
    momentum: float | Float[Array, ""] = 0.9
    epsilon: float | Float[Array, ""] = 1e-5


class BatchNorm(nn.Module):
    """y = gamma · (x − mean) / sqrt(var + epsilon) + beta, per channel (the last axis).

    In training, mean and biased variance are those of the batch, over all axes but the last, and the moving
    statistics in `batch_stats` follow as `ra = momentum · ra + (1 − momentum) · batch`. In evaluation the moving
    statistics are used.
    When not enabled, `x` is returned and nothing is updated.

    Sows `input`, its x, as an intermediate.

    Attributes:
        batch_size: examples that are normalized together in training; all of the batch when not given.
    """

    batch_size: int | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "... channels"], settings: NormSettings, *, train: bool
    ) -> Float[Array, "... channels"]:
        """Normalize `x`; `train` chooses batch statistics (and their update) or moving statistics."""
        self.sow("intermediates", "input", x)
        channels = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones_init(), channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), channels, jnp.float32)
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        scale = jnp.where(settings.use_scale, scale, 1.0)
        bias = jnp.where(settings.use_bias, bias, 0.0)
        if not train:
            by = jnp.where(settings.enabled, scale * jax.lax.rsqrt(var.value + settings.epsilon), 1.0)
            minus, plus = jnp.where(settings.enabled, mean.value, 0.0), jnp.where(settings.enabled, bias, 0.0)
            return ((x - minus) * by + plus).astype(x.dtype)
        size = self.batch_size or x.shape[0]
        y, batch_mean, batch_var = normalize_groups(size, x, scale, bias, settings.enabled, settings.epsilon)
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            weight = jnp.where(settings.enabled, 1.0 - settings.momentum, 0.0)
            mean.value = mean.value + weight * (batch_mean - mean.value)
            var.value = var.value + weight * (batch_var - var.value)
        return y


@jax.custom_vjp
def normalize(
    x: Float[Array, "... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    enabled: bool | Bool[Array, ""],
    epsilon: float | Float[Array, ""],
) -> tuple[Float[Array, "... channels"], Float[Array, " channels"], Float[Array, " channels"]]:
    """Normalize by batch statistics, then scale and shift; where not `enabled`, hand `x` through.

    With x̂ = (x − mean)/sqrt(var + epsilon) over the n rows of x, the gradients for a cotangent g are
    dbias = Σg, dscale = Σ g·x̂, dx = scale/sqrt(var + epsilon) · (g − dbias/n − x̂·dscale/n),
    and the loss must not depend on the returned mean and variance otherwise: they go to the moving average.

    Returns:
        y, and the batch's mean and biased variance (0 where not enabled), in float32.
    """
    y, mean, var, _ = _normalize(x, scale, bias, enabled, epsilon)
    return y, mean, var


def _normalize(x: Array, scale: Array, bias: Array, enabled: Any, epsilon: Any) -> tuple[Array, Array, Array, Array]:
    def batch(x: Array, scale: Array, bias: Array) -> tuple[Array, Array, Array, Array]:
        rows = x.astype(jnp.float32)
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(rows, axes)
        var = jnp.mean(jnp.square(rows - mean), axes)
        inverse = jax.lax.rsqrt(var + epsilon)
        return ((rows - mean) * (inverse * scale) + bias).astype(x.dtype), mean, var, inverse

    def through(x: Array, scale: Array, bias: Array) -> tuple[Array, Array, Array, Array]:
        zero = jnp.zeros(x.shape[-1:], jnp.float32)
        return x, zero, zero, zero

    return choose(_index(enabled), [through, batch], x, scale, bias)  # type: ignore[no-any-return]


def _normalize_forward(x: Array, scale: Array, bias: Array, enabled: Any, epsilon: Any) -> tuple[Any, Any]:
    y, mean, var, inverse = _normalize(x, scale, bias, enabled, epsilon)
    return (y, mean, var), (x, mean, inverse, scale, enabled)


def _normalize_backward(kept: Any, cotangents: Any) -> tuple[Any, ...]:
    x, mean, inverse, scale, enabled = kept
    g = cotangents[0]

    def batch(x: Array, g: Array) -> tuple[Array, Array, Array]:
        rows, g = x.astype(jnp.float32), g.astype(jnp.float32)
        axes = tuple(range(x.ndim - 1))
        xhat = (rows - mean) * inverse
        dbias = jnp.sum(g, axes)
        dscale = jnp.sum(g * xhat, axes)
        n = x.size // x.shape[-1]
        dx = (scale * inverse) * (g - dbias / n - xhat * (dscale / n))
        return dx.astype(x.dtype), dscale, dbias

    def through(x: Array, g: Array) -> tuple[Array, Array, Array]:
        zero = jnp.zeros(x.shape[-1:], jnp.float32)
        return g, zero, zero

    dx, dscale, dbias = choose(_index(enabled), [through, batch], x, g)
    return dx, dscale, dbias, None, None


normalize.defvjp(_normalize_forward, _normalize_backward)


def _index(enabled: bool | Array) -> int | Array:
    return int(enabled) if isinstance(enabled, bool) else jnp.asarray(enabled, jnp.int32)


def normalize_groups(
    size: int,
    x: Float[Array, "batch ... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    enabled: bool | Bool[Array, ""],
    epsilon: float | Float[Array, ""],
) -> tuple[Float[Array, "batch ... channels"], Float[Array, " channels"], Float[Array, " channels"]]:
    """`normalize`, with every `size` examples in a row normalized by their own statistics, over all their places.

    This is ghost Batch Normalization (Hoffer et al. 2017, arXiv 1705.08741). Examples that are left over are
    normalized with the `size` last ones; a probe may have such, a training batch does not. Up to `size` are one group.

    Returns:
        y, and the means over the groups of the groups' means and biased variances. How the groups' means differ is no
        part of that variance: for independent rows it is on average (size − 1)/size of the population's.
    """
    n = x.shape[0]
    if n <= size:
        return normalize(x, scale, bias, enabled, epsilon)
    whole = n // size * size
    groups = x[:whole].reshape(n // size, size, *x.shape[1:])
    y, means, variances = jax.vmap(normalize, (0, None, None, None, None))(groups, scale, bias, enabled, epsilon)
    y = y.reshape(whole, *x.shape[1:])
    if whole < n:
        rest, _, _ = normalize(x[-size:], scale, bias, enabled, epsilon)
        y = jnp.concatenate([y, rest[whole - n :]])
    return y, jnp.mean(means, 0), jnp.mean(variances, 0)
