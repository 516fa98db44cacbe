"""Normalization with traced settings, behind one seam: `Normalization`.

What the normalizers are is declared in `config.normalizers`; `batch` is Batch Normalization (Ioffe & Szegedy 2015,
arXiv 1502.03167). The variance is the biased one, in the batch and in the moving average, as in Flax; PyTorch keeps the
unbiased one in its moving average.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.nn.channels import by_channel, shifted
from bn_ablate.nn.choose import choose
from bn_ablate.nn.normalize import normalize
from bn_ablate.nn.statistics import NOTHING, THROUGH, Beside, How, Kept, Statistics, Through, inverse_root
from bn_ablate.nn.structure import Structure


class NormSettings(NamedTuple):
    """What a lane may set of its normalization; every field may be a Python value or a traced scalar.

    Attributes:
        enabled: normalize, or hand the input through untouched.
        use_scale: multiply by gamma. Without it gamma counts as 1.
        use_bias: add beta. Without it beta counts as 0.
        momentum: decay of the moving statistics.
        epsilon: added to the variance.
        kind: index into the normalizers that the program can choose from.
        r_max, d_max: how far the batch's statistics may lie off the moving ones, for batch renormalization.
        through: which statistics the gradient passes through, where that is not all.
        unbiased: the moving variance follows n/(n − 1) times that of n values.
        outside: epsilon is added to the root, and not to what is under it.
        by_moving, by_other: normalize by the moving statistics in training, or by those of another batch.
        noise_size: the ghost batch whose noise is put on mean and scale in training; none where it is 0.
        noise_after: how strong the noise is that is put on what is given in training; none where it is 0.
    """

    enabled: bool | Bool[Array, ""]
    use_scale: bool | Bool[Array, ""] = True
    use_bias: bool | Bool[Array, ""] = True
    momentum: float | Float[Array, ""] = 0.9
    epsilon: float | Float[Array, ""] = 1e-5
    kind: int | Int[Array, ""] = 0
    r_max: float | Float[Array, ""] = 3.0
    d_max: float | Float[Array, ""] = 5.0
    through: Through | None = None
    unbiased: bool | Bool[Array, ""] = False
    outside: bool | Bool[Array, ""] = False
    by_moving: bool | Bool[Array, ""] = False
    by_other: bool | Bool[Array, ""] = False
    noise_size: int | Int[Array, ""] = 0
    noise_after: float | Float[Array, ""] = 0.0


class Normalization(nn.Module):
    """y = gamma · (x − centre) / sqrt(square + epsilon) + beta; gamma and beta are per channel (the last axis).

    In training, centre and square are those of the batch or of each example, as the normalizer is declared. Where it
    has moving statistics, they are in `batch_stats`, follow as `ra = momentum · ra + (1 − momentum) · batch`, and
    are used in evaluation. When not enabled, `x` is returned and nothing is updated.

    Sows `input`, its x, as an intermediate. What is given to a training pass besides are the collections `other`, the
    mean and var of another batch, and `noises`, in which `noise` and `noise_after` are (2, batch, channels).

    Attributes:
        kinds: the normalizers that this program can choose from, by name.
        groups: into which the channels are divided, where the normalizer is by groups.
        batch_size: examples that are normalized together in training; all of the batch when not given.
        choices: what of `CHOICES` some lane has in another way than BN.
    """

    kinds: tuple[str, ...] = ("batch",)
    groups: int = 1
    batch_size: int | None = None
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, structure: Structure, name: str) -> Normalization:
        """The submodule `name` of a network with this structure."""
        of_all = (structure.norm_kinds, structure.norm_groups, structure.norm_batch_size, structure.choices)
        return cls(*of_all, name=name)

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
        looks_back = any(NORMALIZERS[name].looks_back for name in self.kinds)
        started = self.variable("batch_stats", "started", jnp.zeros, (), jnp.float32) if looks_back else None
        squashes = any(NORMALIZERS[name].squashes for name in self.kinds)
        alpha = self.param("alpha", nn.initializers.constant(0.5), (1,), jnp.float32) if squashes else None
        scale = jnp.where(settings.use_scale, scale, 1.0)
        bias = jnp.where(settings.use_bias, bias, 0.0)
        moving = Statistics(mean.value, var.value)
        if not train:
            return self._evaluated(x, scale, bias, moving, alpha, settings)
        how, index = self._chosen(settings)
        kept = self._kept(moving, started.value if started else None, settings)
        beside = Beside(kept, settings.through if "gradient" in self.choices else None, alpha, self._outside(settings))
        size = self.batch_size or x.shape[0]
        y, batch = normalize_groups(how, size, index, x, scale, bias, settings.epsilon, beside)
        if self.has_variable("noises", "noise"):
            noisy = jnp.asarray(settings.enabled & (settings.noise_size > 0), jnp.int32)
            drawn: Array = self.get_variable("noises", "noise")
            y = choose(noisy, [lambda y, *_: y, with_noise], y, scale, bias, drawn, settings.noise_size)
        if self.has_variable("noises", "noise_after"):
            noisy = jnp.asarray(settings.enabled & (settings.noise_after > 0), jnp.int32)
            y = choose(
                noisy,
                [lambda y, *_: y, with_noise_after],
                y,
                self.get_variable("noises", "noise_after"),
                settings.noise_after,
            )
        followed = batch
        if "moving_variance" in self.choices:
            n = min(size, x.shape[0]) * math.prod(x.shape[1:-1])
            followed = batch._replace(var=batch.var * jnp.where(settings.unbiased, n / max(n - 1, 1), 1.0))
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            moves = zip(*(NORMALIZERS[name].moves for name in self.kinds), strict=True)
            for state, of_batch, kinds in zip((mean, var), followed, moves, strict=True):
                if any(kinds):
                    weight = jnp.where(self._is(kinds, settings), 1.0 - settings.momentum, 0.0)
                    state.value = state.value + weight * (of_batch - state.value)
            if started:
                of_first = tuple(NORMALIZERS[name].running == "first" for name in self.kinds)
                here = self._is(of_first, settings)  # it gives back the statistics that it has normalized by
                for state, used in ((mean, batch.mean), (var, batch.var), (started, 1.0)):
                    state.value = jnp.where(here, used, state.value)
        return y

    def _outside(self, settings: NormSettings) -> bool | Array | None:
        return settings.outside if "epsilon_on" in self.choices else None

    def _kept(self, moving: Statistics, started: Array | None, settings: NormSettings) -> Kept | None:
        """What a training pass looks at besides the batch, if anything."""
        instead = None
        if {"statistics", "frozen_from"} & {*self.choices}:
            instead = settings.by_moving
            if self.has_variable("other", "mean"):
                instead = instead | settings.by_other
                other: list[Array] = [self.get_variable("other", name) for name in ("mean", "var")]
                pairs = zip(other, moving, strict=True)
                moving = Statistics(*(jnp.where(settings.by_other, there, here) for there, here in pairs))
        if started is None and instead is None:
            return None
        return Kept(moving, started, settings.r_max, settings.d_max, instead)

    def _is(self, kinds: tuple[bool, ...], settings: NormSettings) -> bool | Bool[Array, ""]:
        """Whether the lane has one of the normalizers of which that is said."""
        return settings.enabled if all(kinds) else settings.enabled & jnp.array(kinds)[settings.kind]

    def _chosen(self, settings: NormSettings) -> tuple[How, int | Array]:
        """What there is to choose from, and which of it the lane has."""
        if settings.enabled is False:
            return How((THROUGH,)), 0
        kind = settings.kind if len(self.kinds) > 1 else 0
        if settings.enabled is True:
            return How(self.kinds, self.groups), kind
        return How((THROUGH, *self.kinds), self.groups), jnp.asarray(settings.enabled, jnp.int32) * (kind + 1)

    def _evaluated(
        self, x: Array, scale: Array, bias: Array, moving: Statistics, alpha: Array | None, settings: NormSettings
    ) -> Array:
        """Normalize as in evaluation: by the moving statistics, or as in training where there are none."""
        outside = self._outside(settings)
        if all(NORMALIZERS[name].running != "nothing" for name in self.kinds):
            # one product and one sum serve all of them, and what hands its input through
            minus, inverse = choose(
                settings.kind, [partial(_of_moving, name) for name in self.kinds], moving, settings.epsilon, outside
            )
            by = jnp.where(settings.enabled, scale * inverse, 1.0)
            minus, plus = jnp.where(settings.enabled, minus, 0.0), jnp.where(settings.enabled, bias, 0.0)
            return shifted(x - by_channel(x, minus)[0], by, plus).astype(x.dtype)
        how, index = self._chosen(settings)
        alone = [partial(_evaluate, How((name,), how.groups)) for name in how.kinds]
        beside = Beside(alpha=alpha, outside=outside)
        y: Array = choose(index, alone, x, scale, bias, moving, settings.epsilon, beside)
        return y


def map_of(
    structure: Structure, params: Any, moving: Statistics, settings: NormSettings
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """S and t of what a normalizer with moving statistics does in evaluation, y = s·x + t.

    Args:
        structure: of the program.
        params: γ and β, as `scale` and `bias`.
        moving: its statistics.
        settings: of the lane.
    """
    outside = settings.outside if "epsilon_on" in structure.choices else None
    kinds = [partial(_of_moving, name) for name in structure.norm_kinds]
    kind = settings.kind if len(kinds) > 1 else 0
    minus, inverse = choose(kind, kinds, moving, settings.epsilon, outside)
    s = inverse * jnp.where(settings.use_scale, params["scale"], 1.0)
    return s, jnp.where(settings.use_bias, params["bias"], 0.0) - minus * s


def _of_moving(
    name: str, moving: Statistics, epsilon: float | Array, outside: bool | Array | None
) -> tuple[Array, Array]:
    """What a normalizer that keeps statistics subtracts in evaluation, and what it multiplies by."""
    has_mean, has_var = NORMALIZERS[name].keeps
    minus = moving.mean if has_mean else jnp.zeros_like(moving.mean)
    return minus, inverse_root(moving.var, epsilon, outside) if has_var else jnp.ones_like(moving.var)


def _evaluate(
    how: How,
    x: Array,
    scale: Array,
    bias: Array,
    moving: Statistics,
    epsilon: float | Array,
    beside: Beside,
) -> Array:
    """Normalize as the one normalizer of `how` does in evaluation."""
    (name,) = how.kinds
    if name == THROUGH or NORMALIZERS[name].running == "nothing":
        return normalize(how, 0, x, scale, bias, epsilon, beside)[0]
    minus, inverse = _of_moving(name, moving, epsilon, beside.outside)
    return shifted(x - by_channel(x, minus)[0], scale * inverse, bias).astype(x.dtype)


def with_noise(
    y: Float[Array, "batch ... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    drawn: Float[Array, "2 batch channels"],
    size: int | Int[Array, ""],
) -> Float[Array, "batch ... channels"]:
    """γ ((1 + a/√(2n)) x̂ + b/√n) + β for y = γ x̂ + β, with the noise of batches of n = `size` values, and of no batch.

    The mean of n normal values has the deviation 1/√n in units of theirs, and their own deviation 1/√(2n) of itself.
    a and b are drawn for each channel and every n examples in a row.
    """
    n = jnp.asarray(size, jnp.float32)
    batch = y.shape[0]
    group = jnp.arange(batch) // size * size
    places = (batch, *[1] * (y.ndim - 2), y.shape[-1])
    a, b = (jnp.take(some, group, axis=0).reshape(places) for some in drawn)
    rows = y.astype(jnp.float32)
    gamma, beta = by_channel(rows, scale, bias)
    noisy: Array = rows + (rows - beta) * a / jnp.sqrt(2 * n) + gamma * b / jnp.sqrt(n)
    return noisy.astype(y.dtype)


def with_noise_after(
    y: Float[Array, "batch ... channels"], drawn: Float[Array, "2 batch channels"], strength: float | Float[Array, ""]
) -> Float[Array, "batch ... channels"]:
    """(1 + c s) y + c m, for the noise s and m that was `drawn` for each example and channel, and the `strength` c."""
    places = (y.shape[0], *[1] * (y.ndim - 2), y.shape[-1])
    s, m = (strength * some.reshape(places) for some in drawn)
    rows = y.astype(jnp.float32)
    noisy: Array = rows + rows * s + m
    return noisy.astype(y.dtype)


def normalize_groups(
    how: How,
    size: int,
    index: int | Int[Array, ""],
    x: Float[Array, "batch ... channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    epsilon: float | Float[Array, ""],
    beside: Beside = NOTHING,
) -> tuple[Float[Array, "batch ... channels"], Statistics]:
    """`normalize`, with every `size` examples in a row normalized by their own statistics, over all their places.

    This is ghost Batch Normalization (Hoffer et al. 2017, arXiv 1705.08741). Examples that are left over are
    normalized with the `size` last ones; a probe may have such, a training batch does not. Up to `size` are one group.

    Returns:
        y, and the means over the groups of the groups' means and biased variances. How the groups' means differ is no
        part of that variance: for independent rows it is on average (size − 1)/size of the population's.
    """
    n = x.shape[0]
    if n <= size:
        return normalize(how, index, x, scale, bias, epsilon, beside)
    whole = n // size * size
    groups = x[:whole].reshape(n // size, size, *x.shape[1:])
    y, statistics = jax.vmap(lambda x: normalize(how, index, x, scale, bias, epsilon, beside))(groups)
    y = y.reshape(whole, *x.shape[1:])
    if whole < n:
        rest, _ = normalize(how, index, x[-size:], scale, bias, epsilon, beside)
        y = jnp.concatenate([y, rest[whole - n :]])
    return y, Statistics(*(jnp.mean(some, 0) for some in statistics))
