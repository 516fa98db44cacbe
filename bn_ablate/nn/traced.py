"""What a lane may vary inside one compiled program: a pytree of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from bn_ablate.config.lane import LaneSettings
from bn_ablate.config.names import DROPOUT_KINDS, DROPOUT_SITES, PLACEMENTS, coverage_mask
from bn_ablate.config.normalizers import NORMALIZERS, used_by
from bn_ablate.nn.norm import NormSettings
from bn_ablate.nn.statistics import Through
from bn_ablate.nn.structure import Structure

NONE, PRE, POST = (PLACEMENTS.index(name) for name in ("none", "pre", "post"))


NEVER = int(np.iinfo(np.int32).max)
"""A step that does not come."""


def _moving(lane: LaneSettings) -> bool:
    """Whether the lane's normalizer has moving statistics."""
    return "statistics" in used_by(lane.norm.kind)


def _momentum_slope(lane: LaneSettings) -> float:
    """What BN's momentum changes by with each step in which moving statistics move."""
    end, steps = lane.norm.momentum_end, len(lane.moving_steps) - 1
    return 0.0 if end is None or steps < 1 else (end - lane.norm.momentum) / steps


class Of(NamedTuple):
    """What a traced array holds of each lane: a function of its settings and its program's structure."""

    dtype: type[np.generic]
    value: Callable[[LaneSettings, Structure], Any]


class Factors(NamedTuple):
    """The traced settings of one lane, or of many, stacked along leading axes.

    Each field is declared here alone: its type, what it holds, and the setting that it is made of.

    Attributes:
        placement: 0 none, 1 before the activation, 2 after it.
        after_add: BN of a block that ends a residual stands after the addition.
        activation: index into the activations of the program's structure.
        standardized: whether kernels of blocks are standardized.
        dropout_rate: probability of dropping a unit.
        dropout_site: index into `DROPOUT_SITES`.
        dropout_kind: index into `DROPOUT_KINDS`.
        coverage: the blocks that have BN, where placement is not none.
        input_normed: the network's input has BN.
        use_scale: BN has gamma.
        use_bias: BN has beta.
        bn_momentum: decay of the moving statistics.
        bn_epsilon: added to the variance.
        learning_rate: peak learning rate.
        weight_decay: on kernels, and what else decays.
        decays_norm, decays_others: whether BN's gamma and beta decay, and what is neither these nor a kernel.
        label_smoothing: share of a label that is spread over all classes.
        clip_norm: the greatest norm of a gradient; infinite where it is not clipped.
        scale_init, bias_init: what every gamma and beta start from.
        residual_scale_init: what gamma of BN at the end of a residual starts from.
        trains_scale, trains_bias, trains_rest: whether BN's gamma, BN's beta, and all other parameters are trained.
        norm_kind: index into the normalizers of the program's structure.
        alpha_init: what every α of a tanh in the place of BN starts from.
        bn_momentum_slope: what is added to bn_momentum with each step.
        since, until: the steps from which on there is BN, and from which on there is none any more.
        r_max, d_max: how far a batch's statistics may lie off the moving ones, for batch renormalization.
        unbiased: whether the moving variance is that of PyTorch, n/(n − 1) times the batch's.
        outside: whether epsilon is added to the root.
        cumulative: whether moving statistics are means over all batches.
        frozen_from: the step from which on they stand still, and normalize in training.
        by_moving, by_other: whether training normalizes by the moving statistics, or by those of another batch.
        noise_size: the ghost batch whose noise is put on what a normalizer gives; 0 for none.
        noise_after: how strong the noise behind a normalizer is.
        through_mean, through_square: whether the gradient passes through what a normalizer subtracts, and divides by.
    """

    placement: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: PLACEMENTS.index(lane.norm.placement))]
    after_add: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.residual == "after_add")]
    activation: Annotated[
        Int[Array, "..."], Of(np.int32, lambda lane, structure: structure.activations.index(lane.model.activation))
    ]
    standardized: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.model.weight_standardization)]
    dropout_rate: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.dropout.rate)]
    dropout_site: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: DROPOUT_SITES.index(lane.dropout.site))]
    dropout_kind: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: DROPOUT_KINDS.index(lane.dropout.kind))]
    coverage: Annotated[
        Bool[Array, "... depth"], Of(np.bool_, lambda lane, _: coverage_mask(lane.norm.coverage, lane.model.depth))
    ]
    input_normed: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.input_normed)]
    use_scale: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.affine in ("scale", "both"))]
    use_bias: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.affine in ("bias", "both"))]
    bn_momentum: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.momentum)]
    bn_momentum_slope: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: _momentum_slope(lane))]
    since: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: lane.norm.since if lane.normalizes else NEVER)]
    until: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: (lane.normalizes and lane.leaves_at) or NEVER)]
    bn_epsilon: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.epsilon)]
    learning_rate: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.train.learning_rate)]
    weight_decay: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.train.weight_decay)]
    decays_norm: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.train.decay_on == "all")]
    decays_others: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.train.decay_on != "kernels")]
    label_smoothing: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.train.label_smoothing)]
    clip_norm: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.train.clip_norm or np.inf)]
    scale_init: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.scale_init)]
    residual_scale_init: Annotated[
        Float[Array, "..."],
        Of(
            np.float32, lambda lane, _: lane.norm.residual_scale_init if lane.scaled_residuals else lane.norm.scale_init
        ),
    ]
    bias_init: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.bias_init)]
    trains_scale: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.train.trainable != "all_but_scale")]
    trains_bias: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.train.trainable != "all_but_bias")]
    trains_rest: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.train.trainable != "affine_only")]
    norm_kind: Annotated[
        Int[Array, "..."],
        Of(np.int32, lambda lane, structure: structure.norm_kinds.index(lane.norm.kind) if lane.normalizes else 0),
    ]
    alpha_init: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.alpha_init)]
    r_max: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.r_max)]
    d_max: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.d_max)]
    through_mean: Annotated[
        Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.gradient in ("full", "no_variance"))
    ]
    through_square: Annotated[
        Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.gradient in ("full", "no_mean"))
    ]

    unbiased: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.moving_variance == "unbiased")]
    outside: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.epsilon_on == "deviation")]
    cumulative: Annotated[Bool[Array, "..."], Of(np.bool_, lambda lane, _: lane.norm.moving_average == "cumulative")]
    frozen_from: Annotated[
        Int[Array, "..."], Of(np.int32, lambda lane, _: (_moving(lane) and lane.norm.frozen_from) or NEVER)
    ]
    by_moving: Annotated[
        Bool[Array, "..."], Of(np.bool_, lambda lane, _: _moving(lane) and lane.norm.statistics == "moving")
    ]
    by_other: Annotated[
        Bool[Array, "..."], Of(np.bool_, lambda lane, _: _moving(lane) and lane.norm.statistics == "other_batch")
    ]
    noise_size: Annotated[Int[Array, "..."], Of(np.int32, lambda lane, _: lane.norm.noise)]
    noise_after: Annotated[Float[Array, "..."], Of(np.float32, lambda lane, _: lane.norm.noise_after)]

    def at(self, step: int | Int[Array, ""], structure: Structure) -> Factors:
        """These factors as they act in training step `step`, from 0 on, and when that many steps are done."""
        now, momentum = self, self.bn_momentum
        if {"since", "until"} & {*structure.choices}:
            there = (step >= self.since) & (step < self.until)
            now = now._replace(coverage=self.coverage & there, input_normed=self.input_normed & there)
        if "momentum_end" in structure.choices:
            momentum = jnp.clip(momentum + self.bn_momentum_slope * (step - self.since), 0.0, 1.0)
        if "moving_average" in structure.choices:
            done = jnp.asarray(step - self.since, jnp.float32)
            momentum = jnp.where(self.cumulative, done / (done + 1.0), momentum)
        if "frozen_from" in structure.choices:
            frozen = step >= self.frozen_from
            momentum = jnp.where(frozen, 1.0, momentum)
            now = now._replace(by_moving=now.by_moving | frozen, by_other=now.by_other & ~frozen)
        return now._replace(bn_momentum=momentum)

    def norm(self, block: int) -> NormSettings:
        """The BN settings of one block of one lane."""
        return self._norm(self.coverage[block] & (self.placement != NONE))

    def input_norm(self, structure: Structure) -> NormSettings:
        """The BN settings of the network's input, for one lane of a program in which some lanes have BN there."""
        return self._norm(True if structure.input_normed == "all" else self.input_normed)

    def _norm(self, enabled: bool | Array) -> NormSettings:
        return NormSettings(
            enabled=enabled,
            use_scale=self.use_scale,
            use_bias=self.use_bias,
            momentum=self.bn_momentum,
            epsilon=self.bn_epsilon,
            kind=self.norm_kind,
            r_max=self.r_max,
            d_max=self.d_max,
            through=Through(self.through_mean, self.through_square),
            unbiased=self.unbiased,
            outside=self.outside,
            by_moving=self.by_moving,
            by_other=self.by_other,
            noise_size=self.noise_size,
            noise_after=self.noise_after,
        )

    def recalibrates(self, structure: Structure) -> bool | Array:
        """Whether the lane's normalizer has moving statistics, which those of the population may replace."""
        moving = [NORMALIZERS[name].running == "average" for name in structure.norm_kinds]
        return moving[0] if len(set(moving)) == 1 else jnp.array(moving)[self.norm_kind]

    def absorbs_bias(self, structure: Structure) -> bool | Array:
        """Whether the lane's normalizer subtracts a bias that is added just before it."""
        absorbs = [NORMALIZERS[name].absorbs_bias for name in structure.norm_kinds]
        return absorbs[0] if len(set(absorbs)) == 1 else jnp.array(absorbs)[self.norm_kind]


@cache
def _declared() -> dict[str, Of]:
    hints = get_type_hints(Factors, globals(), include_extras=True)
    return {name: get_args(hints[name])[1] for name in Factors._fields}


def stack_factors(settings: Sequence[LaneSettings], structure: Structure) -> Factors:
    """The factors of several lanes of one program, stacked along a first axis, as NumPy arrays on the host."""
    arrays: dict[str, Any] = {
        name: np.asarray([of.value(lane, structure) for lane in settings], of.dtype) for name, of in _declared().items()
    }
    return Factors(**arrays)


def lane_factors(settings: LaneSettings, structure: Structure) -> Factors:
    """The factors of one lane."""
    return Factors(*(jnp.asarray(leaf[0]) for leaf in stack_factors([settings], structure)))


def blank_factors(depth: int) -> Factors:
    """Factors to trace an initialization with, which depends on none of them: zeros."""
    arrays: dict[str, Any] = {
        name: jnp.zeros((depth,) if name == "coverage" else (), of.dtype) for name, of in _declared().items()
    }
    return Factors(**arrays)
