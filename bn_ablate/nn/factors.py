"""What a lane may vary inside one compiled program: a pytree of arrays."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from bn_ablate.config.lane import LaneSettings
from bn_ablate.config.names import DROPOUT_KINDS, DROPOUT_SITES, PLACEMENTS, RESIDUAL_NORMS, coverage_mask
from bn_ablate.nn.norm import NormSettings

NONE, PRE, POST = (PLACEMENTS.index(name) for name in ("none", "pre", "post"))


class Factors(NamedTuple):
    """The traced settings of one lane, or of many, stacked along leading axes.

    Attributes:
        placement: 0 none, 1 before the activation, 2 after it.
        after_add: BN of a block that ends a residual stands after the addition.
        activation: index into the activations of the program's structure.
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
        weight_decay: on kernels.
        scale_init, bias_init: what every gamma and beta start from.
        trains_scale, trains_bias, trains_rest: whether BN's gamma, BN's beta, and all other parameters are trained.
    """

    placement: Int[Array, "..."]
    after_add: Bool[Array, "..."]
    activation: Int[Array, "..."]
    dropout_rate: Float[Array, "..."]
    dropout_site: Int[Array, "..."]
    dropout_kind: Int[Array, "..."]
    coverage: Bool[Array, "... depth"]
    input_normed: Bool[Array, "..."]
    use_scale: Bool[Array, "..."]
    use_bias: Bool[Array, "..."]
    bn_momentum: Float[Array, "..."]
    bn_epsilon: Float[Array, "..."]
    learning_rate: Float[Array, "..."]
    weight_decay: Float[Array, "..."]
    scale_init: Float[Array, "..."]
    bias_init: Float[Array, "..."]
    trains_scale: Bool[Array, "..."]
    trains_bias: Bool[Array, "..."]
    trains_rest: Bool[Array, "..."]

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
        )


class Structure(NamedTuple):
    """What of a block is known before the program is compiled: what some lane needs is in it, and nothing else.

    Where all lanes agree, there is nothing left to choose from, and the program is one that was written for them.

    Attributes:
        placements: those that occur.
        activations: those that occur.
        normed: whether the covered blocks of the lanes have BN: all lanes', no lane's, or some lanes'.
        input_normed: whether the networks' inputs have BN: all lanes', no lane's, or some lanes'.
        residual_norms: those that occur.
        drop_sites: the dropout sites of the lanes that drop, in the order of `DROPOUT_SITES`.
        drop_kinds: the kinds of dropout of the lanes that drop, in the order of `DROPOUT_KINDS`.
        norm_batch_size: examples that are normalized together in training; all of the batch when None.
    """

    placements: tuple[str, ...]
    activations: tuple[str, ...]
    normed: Literal["all", "none", "some"]
    input_normed: Literal["all", "none", "some"] = "none"
    residual_norms: tuple[str, ...] = ("before_add",)
    drop_sites: tuple[str, ...] = ()
    drop_kinds: tuple[str, ...] = ()
    norm_batch_size: int | None = None

    @classmethod
    def of(cls, settings: list[LaneSettings]) -> Structure:
        """The structure that serves all of these lanes."""
        placements = tuple(name for name in PLACEMENTS if name in {s.norm.placement for s in settings})
        covered = {s.norm.placement != "none" and all(coverage_mask(s.norm.coverage, s.model.depth)) for s in settings}
        bare = {s.norm.placement == "none" or not any(coverage_mask(s.norm.coverage, s.model.depth)) for s in settings}
        normed: Literal["all", "none", "some"] = "all" if covered == {True} else "none" if bare == {True} else "some"
        activations = tuple(sorted({s.model.activation for s in settings}))
        inputs = {_has_input_norm(s) for s in settings}
        dropping = [s.dropout for s in settings if s.dropout.rate > 0]
        return cls(
            placements,
            activations,
            normed,
            input_normed="some" if len(inputs) == 2 else "all" if inputs == {True} else "none",
            residual_norms=tuple(name for name in RESIDUAL_NORMS if name in {s.norm.residual for s in settings}),
            drop_sites=tuple(name for name in DROPOUT_SITES if name in {dropout.site for dropout in dropping}),
            drop_kinds=tuple(name for name in DROPOUT_KINDS if name in {dropout.kind for dropout in dropping}),
            norm_batch_size=settings[0].norm.batch_size,
        )


def _has_input_norm(settings: LaneSettings) -> bool:
    """Whether BN stands before the first linear map: for coverage `input`, and where a lane with BN has site `ic`."""
    covered = settings.norm.coverage == "input" or (settings.dropout.site == "ic" and settings.norm.coverage != "none")
    return covered and settings.norm.placement != "none"


def stack_factors(settings: list[LaneSettings], activations: tuple[str, ...]) -> Factors:
    """The factors of several lanes, stacked along a first axis, as NumPy arrays on the host."""

    def floats(values: list[float]) -> np.ndarray:
        return np.asarray(values, np.float32)

    trainable = [s.train.trainable for s in settings]
    return Factors(
        placement=np.asarray([PLACEMENTS.index(s.norm.placement) for s in settings], np.int32),  # type: ignore[arg-type]
        after_add=np.asarray([s.norm.residual == "after_add" for s in settings], bool),  # type: ignore[arg-type]
        activation=np.asarray([activations.index(s.model.activation) for s in settings], np.int32),  # type: ignore[arg-type]
        dropout_rate=floats([s.dropout.rate for s in settings]),  # type: ignore[arg-type]
        dropout_site=np.asarray([DROPOUT_SITES.index(s.dropout.site) for s in settings], np.int32),  # type: ignore[arg-type]
        dropout_kind=np.asarray([DROPOUT_KINDS.index(s.dropout.kind) for s in settings], np.int32),  # type: ignore[arg-type]
        input_normed=np.asarray([_has_input_norm(s) for s in settings], bool),  # type: ignore[arg-type]
        coverage=np.asarray([coverage_mask(s.norm.coverage, s.model.depth) for s in settings], bool),  # type: ignore[arg-type]
        use_scale=np.asarray([s.norm.affine in ("scale", "both") for s in settings], bool),  # type: ignore[arg-type]
        use_bias=np.asarray([s.norm.affine in ("bias", "both") for s in settings], bool),  # type: ignore[arg-type]
        bn_momentum=floats([s.norm.momentum for s in settings]),  # type: ignore[arg-type]
        bn_epsilon=floats([s.norm.epsilon for s in settings]),  # type: ignore[arg-type]
        learning_rate=floats([s.train.learning_rate for s in settings]),  # type: ignore[arg-type]
        weight_decay=floats([s.train.weight_decay for s in settings]),  # type: ignore[arg-type]
        scale_init=floats([s.norm.scale_init for s in settings]),  # type: ignore[arg-type]
        bias_init=floats([s.norm.bias_init for s in settings]),  # type: ignore[arg-type]
        trains_scale=np.asarray([name != "all_but_scale" for name in trainable], bool),  # type: ignore[arg-type]
        trains_bias=np.asarray([name != "all_but_bias" for name in trainable], bool),  # type: ignore[arg-type]
        trains_rest=np.asarray([name != "affine_only" for name in trainable], bool),  # type: ignore[arg-type]
    )


def neutral_factors(depth: int) -> Factors:
    """Factors to trace an initialization with, which depends on none of them."""
    return Factors(
        placement=jnp.int32(NONE),
        after_add=jnp.bool_(False),
        activation=jnp.int32(0),
        dropout_rate=jnp.float32(0),
        dropout_site=jnp.int32(0),
        dropout_kind=jnp.int32(0),
        input_normed=jnp.bool_(False),
        coverage=jnp.zeros(depth, bool),
        use_scale=jnp.bool_(True),
        use_bias=jnp.bool_(True),
        bn_momentum=jnp.float32(0.9),
        bn_epsilon=jnp.float32(1e-5),
        learning_rate=jnp.float32(0),
        weight_decay=jnp.float32(0),
        scale_init=jnp.float32(1),
        bias_init=jnp.float32(0),
        trains_scale=jnp.bool_(True),
        trains_bias=jnp.bool_(True),
        trains_rest=jnp.bool_(True),
    )
