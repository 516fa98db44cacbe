"""What of a network is known before its program is compiled."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from bn_ablate.config.lane import LaneSettings, of_program
from bn_ablate.config.names import DROPOUT_KINDS, DROPOUT_SITES, PLACEMENTS, RESIDUAL_NORMS
from bn_ablate.config.network_keys import Norm
from bn_ablate.config.normalizers import NORMALIZERS

CHOICES = (
    "gradient",
    "moving_variance",
    "moving_average",
    "epsilon_on",
    "frozen_from",
    "statistics",
    "noise",
    "noise_after",
    "momentum_end",
    "since",
    "until",
)
"""Keys of `norm` for which a program has nothing where all lanes are at their default."""
Share = Literal["all", "none", "some"]


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
        norm_kinds: the normalizers of the lanes that normalize, in the order of `NORMALIZERS`.
        norm_groups: into which a normalizer by groups divides the channels.
        choices: what of `CHOICES` some lane has in another way than BN.
        others: whether some lane normalizes by the statistics of another batch.
        standardized: whether kernels of the lanes are standardized: all lanes', no lane's, or some lanes'.
    """

    placements: tuple[str, ...]
    activations: tuple[str, ...]
    normed: Share
    input_normed: Share = "none"
    residual_norms: tuple[str, ...] = ("before_add",)
    drop_sites: tuple[str, ...] = ()
    drop_kinds: tuple[str, ...] = ()
    norm_batch_size: int | None = None
    norm_kinds: tuple[str, ...] = ("batch",)
    norm_groups: int = 1
    choices: tuple[str, ...] = ()
    others: bool = False
    standardized: Share = "none"

    @property
    def moving(self) -> bool:
        """Whether any lane has moving statistics."""
        normalizes = self.normed != "none" or self.input_normed != "none"
        return normalizes and any(NORMALIZERS[name].running == "average" for name in self.norm_kinds)

    @classmethod
    def of(cls, settings: list[LaneSettings]) -> Structure:
        """The structure that serves all of these lanes."""
        dropping = [s.dropout for s in settings if s.dropout.rate > 0]
        norm = of_program(settings).norm
        kinds = {s.norm.kind for s in settings if s.normalizes}
        return cls(
            placements=_occurring(PLACEMENTS, {s.norm.placement for s in settings}),
            activations=tuple(sorted({s.model.activation for s in settings})),
            normed=_share([block and there for s in settings for block in s.normed_blocks for there in _there(s)]),
            input_normed=_share([s.input_normed and there for s in settings for there in _there(s)]),
            residual_norms=_occurring(RESIDUAL_NORMS, {s.norm.residual for s in settings}),
            drop_sites=_occurring(DROPOUT_SITES, {dropout.site for dropout in dropping}),
            drop_kinds=_occurring(DROPOUT_KINDS, {dropout.kind for dropout in dropping}),
            norm_batch_size=norm.batch_size,
            norm_kinds=_occurring(NORMALIZERS.names, kinds) or ("batch",),
            norm_groups=norm.groups,
            choices=tuple(key for key in CHOICES if any(_chooses(key, s.norm) for s in settings if s.normalizes)),
            others=any(s.norm.statistics == "other_batch" for s in settings if s.normalizes),
            standardized=_share([s.model.weight_standardization for s in settings]),
        )


def _there(lane: LaneSettings) -> set[bool]:
    """Whether the lane has its normalizers, at any step."""
    return {True, lane.normalized_after(0), lane.normalized_after(lane.train.steps)}


def _chooses(key: str, norm: Norm) -> bool:
    return bool(getattr(norm, key) != Norm.model_fields[key].default)


def _occurring(names: tuple[str, ...], there: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in there)


def _share(flags: list[bool]) -> Share:
    return "all" if all(flags) else "some" if any(flags) else "none"
