"""When a factor acts: in which settings another level of it makes another network.

Two settings that are the same network are one lane (`LaneSettings.canonical`), and no hypothesis may compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from bn_ablate.config.architectures import NETWORKS
from bn_ablate.config.names import COVERAGES, NORM_GRADIENTS, coverage_mask
from bn_ablate.config.normalizers import NORMALIZERS, used_by

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings


class When(NamedTuple):
    """A condition on the settings of a lane.

    Attributes:
        words: the end of the sentence "it acts …".
        holds: whether settings meet it.
    """

    words: str
    holds: Callable[[LaneSettings], bool]


ALWAYS = When("in every network", lambda lane: True)


def _normalizes_with(key: str) -> Callable[[LaneSettings], bool]:
    """Whether the network has a normalizer to which that key of `norm` says something."""
    return lambda lane: lane.normalizes and key in used_by(lane.norm.kind)


def _moves_with(key: str) -> Callable[[LaneSettings], bool]:
    """The same, for what says nothing to moving statistics that stand still from the first on."""
    return lambda lane: _normalizes_with(key)(lane) and (bool(lane.moving_steps) or not WITH_MOVING.holds(lane))


WITH_BN = When(
    "where the network has BN, or another norm.kind (by norm.placement and norm.coverage)", lambda lane: lane.normalizes
)
WITH_MOVING = When(
    "where the network has BN, or another norm.kind with moving statistics", _normalizes_with("momentum")
)
WITH_AVERAGE_OF_BN = When(
    "where the network has BN, or another norm.kind with moving statistics, before norm.frozen_from",
    _moves_with("moving_average"),
)
WITH_MOVING_VARIANCE = When(
    "where the network has BN, or another norm.kind with a moving variance, before norm.frozen_from",
    _moves_with("moving_variance"),
)
WITH_MOMENTUM_OF_BN = When(
    "where the network has BN, or another norm.kind with moving statistics, before norm.frozen_from, and "
    "norm.moving_average is exponential",
    lambda lane: WITH_AVERAGE_OF_BN.holds(lane) and lane.norm.moving_average == "exponential",
)
WITH_STATISTICS = When(
    "where the network has BN, or another norm.kind with moving statistics, before norm.frozen_from",
    _moves_with("statistics"),
)
WITH_EPSILON = When("where the network has BN, or another norm.kind that divides", _normalizes_with("epsilon"))
WITH_GHOSTS = When(
    "where the network has BN, or another norm.kind with statistics of a batch, before norm.frozen_from",
    _moves_with("batch_size"),
)
WITH_CORRECTION = When(
    "where the network has norm.kind = batch_renorm, and is not BN by r_max = 1 and d_max = 0, or by norm.statistics",
    lambda lane: _normalizes_with("r_max")(lane) and _corrects(lane) and same_normalizers(lane) == (lane.norm.kind,),
)
WITH_GROUPS = When(
    "where the network has norm.kind = group, of other groups than all channels or a single one",
    lambda lane: _normalizes_with("groups")(lane) and same_normalizers(lane) == (lane.norm.kind,),
)
WITH_GRADIENT = When(
    "where a block has BN, or another norm.kind with statistics that depend on x, after something that is trained, and "
    "norm.statistics are its own, before norm.frozen_from",
    lambda lane: (
        _moves_with("gradient")(lane)
        and _trains_before_bn(lane)
        and (lane.norm.statistics == "own" or not WITH_STATISTICS.holds(lane))
    ),
)
WITH_ALPHA = When("where the network has norm.kind = dyt", _normalizes_with("alpha_init"))
WITH_PLACEMENT = When("where norm.placement is not none", lambda lane: lane.norm.placement != "none")
WITH_SCALE = When(
    "where BN has γ (norm.affine = scale or both) from the start (norm.since), and norm.residual_scale_init does not "
    "say what it starts from",
    lambda lane: (
        lane.has_scale
        and not lane.norm.since
        and (lane.input_normed or len(lane.scaled_residuals) < sum(lane.normed_blocks))
    ),
)
ON_RESIDUAL_SCALES = When(
    "in a resnet where a block that ends a residual has BN with γ before the addition, from the start (norm.since)",
    lambda lane: (
        lane.has_scale and not lane.norm.since and lane.norm.residual == "before_add" and any(_normed_ends(lane))
    ),
)
WITH_BIAS = When(
    "where BN has β (norm.affine = bias or both) from the start (norm.since)",
    lambda lane: lane.has_bias and not lane.norm.since,
)
WHERE_UNITS_DROP = When("where dropout.rate is above 0", lambda lane: lane.dropout.rate > 0)
ON_RESIDUALS = When(
    "in a resnet whose residuals end in BN, or have placement post",
    lambda lane: activates_before_addition(lane) or _ends_in_bn(lane),
)


def same_placements(lane: LaneSettings) -> tuple[str, ...]:
    """The placement, or the simplest one that makes the same network where no block has BN.

    Without BN in its blocks a network differs by placement in one thing: in a resnet, `post` and `before_add` have the
    activation before the addition, BN or no BN.
    """
    if any(lane.normed_blocks) or activates_before_addition(lane):
        return (lane.norm.placement,)
    return ("pre",) if lane.input_normed else ("none",)


def same_coverages(lane: LaneSettings) -> tuple[str, ...]:
    """The names of the coverage that cover the same, as `first` and `only_0`."""
    covered = lane.normed_blocks
    if not any(covered):
        return ("input",) if lane.input_normed else ("none",) if activates_before_addition(lane) else ("all",)
    if all(covered):
        return ("all",)
    depth = len(covered)
    by_block = (f"{kind}_{block}" for kind in ("only", "without") for block in range(depth))
    return tuple(name for name in (*COVERAGES, *by_block) if coverage_mask(name, depth) == covered)


def same_sites(lane: LaneSettings) -> tuple[str, ...]:
    """The dropout site, or the simplest one that drops at the same places and has the same BN on the input."""
    site, any_normed = lane.dropout.site, any(lane.normed_blocks)
    if lane.dropout.rate == 0:
        return ("ic",) if site == "ic" and any_normed else ("block",)
    if (site == "last" and lane.model.depth == 1) or (site == "before_norm" and not any_normed):
        return ("block",)
    return (site,)


def same_normalizers(lane: LaneSettings) -> tuple[str, ...]:
    """The normalizer; one by groups is that of the whole example for one group, and of a channel for as many as these.

    Batch renormalization that corrects nothing is BN. But BN, and that of a channel, have no bias before them, which
    makes a difference where units are dropped in between, or where a gradient reaches it, as along a shortcut. The
    channels of a user's own network may depend on the data, and are not asked for.
    """
    dropped = lane.dropout.rate > 0 and lane.dropout.site == "before_norm"
    sums = [lane.normed_blocks[i] for i in lane.model.layout().carried]
    carried = any(normed and not all(sums[i:]) for i, normed in enumerate(sums))
    own = lane.norm.statistics == "own"
    reached = dropped or carried or not own or lane.norm.gradient in ("no_mean", "straight") or lane.norm.since > 0
    moved = reached and lane.train.trainable != "affine_only"
    biased = moved and lane.norm.placement == "pre" and any(lane.normed_blocks)
    if lane.norm.kind == "batch_renorm" and (not _corrects(lane) or (lane.norm.r_max, lane.norm.d_max) == (1.0, 0.0)):
        return ("batch_renorm",) if biased else ("batch",)
    if lane.norm.kind != "group":
        return (lane.norm.kind,)
    if lane.norm.groups == 1:
        return ("layer",)
    if lane.input_normed or lane.model.architecture not in NETWORKS.own:
        return ("group",)
    layers = zip(lane.normed_blocks, lane.model.layout().layers, strict=True)
    alone = all(layer.output[-1] == lane.norm.groups for normed, layer in layers if normed)
    return ("instance",) if alone and not biased else ("group",)


def _corrects(lane: LaneSettings) -> bool:
    """Whether batch renormalization normalizes by its own statistics: what another batch has may depend on it, too."""
    several = sum(lane.normed_blocks) + lane.input_normed > 1
    return bool(lane.moving_steps) and (
        lane.norm.statistics == "own" or (lane.norm.statistics == "other_batch" and several)
    )


def same_gradients(lane: LaneSettings) -> tuple[str, ...]:
    """The gradients that are the same, for want of a mean or of a variance that they could pass through."""
    of_kind = NORMALIZERS.get(lane.norm.kind)
    mean, square = of_kind.passes if of_kind else (True, True)
    passed = {"full": (mean, square), "no_mean": (False, square), "no_variance": (mean, False)}
    mine = passed.get(lane.norm.gradient, (False, False))
    return tuple(name for name in NORM_GRADIENTS if passed.get(name, (False, False)) == mine)


def same_freezes(lane: LaneSettings) -> tuple[int, ...]:
    """The step from which on moving statistics stand still; 0 where it does not come, or comes after BN has gone."""
    step, steps = lane.norm.frozen_from, lane.norm_steps
    return (0,) if step == 0 or step >= steps.stop else (max(step, steps.start),)


def same_ends(lane: LaneSettings) -> tuple[int, ...]:
    """The step from which on there is no BN; 0 where it does not come."""
    return (lane.leaves_at,)


def same_momentum_ends(lane: LaneSettings) -> tuple[float | None, ...]:
    """The momentum of the last step; None where that is the first too, or the same."""
    end = lane.norm.momentum_end
    return (None,) if end == lane.norm.momentum or len(lane.moving_steps) < 2 else (end,)


def same_affines(lane: LaneSettings) -> tuple[str, ...]:
    """Which of γ and β are there: a γ that stays 1 and a β that stays 0 are as good as none."""
    scale, bias = lane.has_scale and not stays_one(lane), lane.has_bias and not stays_zero(lane)
    return ("both" if scale and bias else "scale" if scale else "bias" if bias else "none",)


def same_residual_scales(lane: LaneSettings) -> tuple[float | None, ...]:
    """What γ at the ends of residuals starts from; None where the others start from the same."""
    said, others = lane.norm.residual_scale_init, lane.norm.scale_init if WITH_SCALE.holds(lane) else 1.0
    if said is None and _ends_alone(lane):
        said, others = lane.norm.scale_init, 1.0
    return (None,) if said == others else (said,)


def same_scales(lane: LaneSettings) -> tuple[float, ...]:
    """What γ starts from; 1 where that is said of the ends of residuals, since no BN but theirs has a γ."""
    return (1.0,) if _ends_alone(lane) else (lane.norm.scale_init,)


def _ends_alone(lane: LaneSettings) -> bool:
    """Whether all that have γ are the BNs at the ends of residuals."""
    ends = ON_RESIDUAL_SCALES.holds(lane) and not lane.input_normed
    return ends and sum(_normed_ends(lane)) == sum(lane.normed_blocks)


def _normed_ends(lane: LaneSettings) -> tuple[bool, ...]:
    """Which of the blocks that end a residual have BN."""
    return tuple(lane.normed_blocks[i] for i in lane.model.layout().residuals)


def stays_one(lane: LaneSettings) -> bool:
    """Whether every γ is 1 from the first step to the last."""
    starts = [lane.norm.scale_init] * WITH_SCALE.holds(lane) + [lane.norm.residual_scale_init] * bool(
        lane.scaled_residuals
    )
    starts += [1.0] * (lane.norm.since > 0 and not _moves(lane)[1])  # put in as the identity, which divides by nothing
    return lane.train.trainable == "all_but_scale" and {*starts} == {1.0}


def stays_zero(lane: LaneSettings) -> bool:
    """Whether every β is 0 from the first step to the last."""
    start = lane.norm.bias_init if not lane.norm.since else float(_moves(lane)[0])
    return lane.train.trainable == "all_but_bias" and start == 0


def _moves(lane: LaneSettings) -> tuple[bool, bool]:
    """Whether the lane's normalizer has a moving mean, and a moving variance."""
    kind = NORMALIZERS.get(lane.norm.kind)
    return kind.moves if kind else (True, True)


def same_ghost_batches(lane: LaneSettings) -> tuple[int | None, ...]:
    """The examples that are normalized together: None where they are the whole training batch."""
    size = lane.norm.batch_size
    return (None,) if size == lane.train.batch_size else (size,)


def activates_before_addition(lane: LaneSettings) -> bool:
    """Whether a residual's activation comes before the shortcut is added."""
    before = lane.norm.placement == "post" and lane.norm.residual == "before_add"
    return before and bool(lane.model.layout().residuals)


def _trains_before_bn(lane: LaneSettings) -> bool:
    """Whether what a block's BN gets depends on something trained: on kernels, or on γ or β of a BN before."""
    normed = sum(lane.normed_blocks)
    if lane.train.trainable != "affine_only":
        return normed > 0
    return (lane.has_scale or lane.has_bias) and normed > 0 and normed + lane.input_normed > 1


def _ends_in_bn(lane: LaneSettings) -> bool:
    """Whether the side of an addition matters to BN: of the block that ends a residual, or, after `post`, of any."""
    ends = lane.model.layout().residuals
    return any(lane.normed_blocks[i] or lane.norm.placement == "post" for i in ends) and any(lane.normed_blocks)
