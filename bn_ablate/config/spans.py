"""BN in some steps of the training only, `norm.since` and `norm.until`: where it can be put in and taken out.

The network must compute in evaluation what it did before. Taken out, BN's map in evaluation goes into the weights of
the linear map beside it; put in, it begins as the identity. Where that cannot be, settings are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bn_ablate.config.architectures import NETWORKS, TYPICAL, Layout, NetworkSpec
from bn_ablate.config.errors import Problem
from bn_ablate.config.normalizers import NORMALIZERS, used_by

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings


def span_problems(lane: LaneSettings, layout: Layout) -> Iterator[Problem]:
    """What is in the way of BN that comes, or goes, in the midst of training; one reason for each key."""
    since, until = lane.norm.since, lane.norm.until
    if 0 < until <= since:
        yield Problem(
            "norm.until",
            f"= {until} is not after norm.since = {since}: there would never be BN, which norm.placement = 'none' says",
        )
        return
    if not lane.normalizes:
        return
    for key, step, reason in (
        ("since", since, _not_put_in(lane, layout) if since else None),
        ("until", until, _not_taken_out(lane, layout) if lane.leaves_at else None),
    ):
        at = step if key == "since" else lane.leaves_at
        if at and (reason := _of_any(lane, key, at) or reason):
            yield Problem(f"norm.{key}", f"= {step} {reason}")


def _of_any(lane: LaneSettings, key: str, at: int) -> str | None:
    """Why a normalizer can neither come nor go."""
    if key not in used_by(lane.norm.kind):
        able = ", ".join(name for name in NORMALIZERS.own if key in NORMALIZERS[name].uses)
        return (
            f"takes moving statistics, and norm.kind = {lane.norm.kind} has none: what it does in evaluation is no "
            f"constant map of each channel, as that of {able} is; leave these cells out by [[exclude]]"
        )
    if lane.train.averages and lane.train.averaged_from < at:
        return (
            f"changes what weights mean at step {at}, and train.average begins before; say train.average_start = {at}, "
            "or a later step"
        )
    return None


def _not_put_in(lane: LaneSettings, layout: Layout) -> str | None:
    norm, kind = lane.norm, NORMALIZERS.get(lane.norm.kind)
    subtracts, divides = kind.moves if kind else (True, True)
    if (divides and not lane.has_scale) or (subtracts and not lane.has_bias):
        return (
            f"puts BN in as the identity, by its γ and β, and norm.affine = {norm.affine} lacks one that it takes; "
            "say norm.affine = both"
        )
    carried = any(lane.normed_blocks[i] for i in layout.carried)
    if carried and norm.placement == "pre" and (kind is None or kind.absorbs_bias):
        return (
            "would take the bias before BN out of sums that shortcuts carry on; say model.architecture = resnet, or "
            "leave these cells out by [[exclude]]"
        )
    return None


def _not_taken_out(lane: LaneSettings, layout: Layout) -> str | None:
    keep = f"keep its map in place by norm.frozen_from = {lane.leaves_at} without norm.until"
    if lane.model.weight_standardization:
        return (
            "would fold BN into kernels that model.weight_standardization standardizes anew in each step; turn that "
            f"off, or {keep}"
        )
    if lane.input_normed:
        return (
            "cannot fold BN of the input, before which there is no kernel; let norm.coverage and dropout.site leave "
            f"the input out, or {keep}"
        )
    if lane.norm.placement == "post":
        if not in_a_row(lane):
            return (
                "cannot fold BN after the activation into the kernels behind: zeros around an image, pooling or a "
                f"shortcut lie between; say norm.placement = pre, take the mlp, or {keep}"
            )
        return None
    added = [*layout.carried, *(layout.residuals if lane.norm.residual == "after_add" else ())]
    if block := next((str(i) for i in sorted(added) if lane.normed_blocks[i]), None):
        return (
            f"cannot fold BN of block {block} into its kernel, since a shortcut is added in between; let norm.coverage "
            f"leave it out, or {keep}"
        )
    return None


def in_a_row(lane: LaneSettings) -> bool:
    """Whether each linear map is dense and gets what the block before it gives, and nothing else."""
    network = NETWORKS.get(lane.model.architecture)
    if network is None or network.is_module:
        return False
    spec: NetworkSpec = network.given(TYPICAL.image, lane.model.depth, lane.model.width)
    return all(block.linear == "dense" and not block.shortcut for block in spec.blocks)
