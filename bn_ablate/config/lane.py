"""The settings of one lane: all that determines it, besides its seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from bn_ablate.config.acting import ALWAYS, ON_RESIDUAL_SCALES
from bn_ablate.config.architectures import NETWORKS, Layout
from bn_ablate.config.errors import Problem
from bn_ablate.config.factor import Factor
from bn_ablate.config.factors import SECTIONS, SETTINGS
from bn_ablate.config.measures import AVERAGING, MEASURES
from bn_ablate.config.metrics import APART
from bn_ablate.config.names import coverage_mask
from bn_ablate.config.network_keys import Dropout, Model, Norm
from bn_ablate.config.normalizers import NORMALIZERS, used_by
from bn_ablate.config.notes import idle, notes
from bn_ablate.config.precision import bfloat16
from bn_ablate.config.registry import REGISTRIES
from bn_ablate.config.schema import Study
from bn_ablate.config.section import Section
from bn_ablate.config.spans import span_problems
from bn_ablate.config.training_keys import Data, Measure, Train

MERGING = {name: factor for name, factor in SETTINGS.items() if factor.acts is not ALWAYS or factor.alike}
"""The factors of which different levels can make the same network."""


class Own(NamedTuple):
    """A part of a user's own that a lane may use: its kind, its name, and the SHA-256 of its source."""

    kind: str
    name: str
    sha256: str

    def serves(self, lane: LaneSettings) -> bool:
        """Whether `lane` uses it."""
        section, _, key = REGISTRIES[self.kind].path.partition(".")
        said = getattr(getattr(lane, section), key)
        return self.name in (said if isinstance(said, tuple) else (said,))


class LaneSettings(Section):
    """Data, network, normalization, dropout, optimization and measurement of one lane; and in `own` a user's parts."""

    data: Data = Data()
    model: Model = Model()
    norm: Norm = Norm()
    dropout: Dropout = Dropout()
    train: Train = Train()
    measure: Measure = Measure()
    own: tuple[Own, ...] = ()

    def at(self, levels: dict[str, Any]) -> LaneSettings:
        """These settings with each axis of `levels` set to its level."""
        changes: dict[str, dict[str, Any]] = {}
        for axis, level in levels.items():
            section, key = SETTINGS[axis].place
            changes.setdefault(section, {})[key] = level
        sections = {name: getattr(self, name).model_copy(update=change) for name, change in changes.items()}
        return self.model_copy(update=sections)

    @property
    def counted(self) -> LaneSettings:
        """These settings with epochs as the steps that they are: ⌈epochs · n_train / batch_size⌉.

        They stay epochs where the data alone say how many training examples there are.
        """
        epochs, n_train = self.train.epochs, self.data.n_train
        if epochs is None or n_train is None:
            return self
        steps = math.ceil(Fraction(repr(epochs)) * n_train / self.train.batch_size)
        return self.model_copy(update={"train": self.train.model_copy(update={"steps": steps, "epochs": None})})

    @property
    def canonical(self) -> LaneSettings:
        """The settings that stand for all those that make the same network: what does not act is at its default.

        Settings are the same network if, and only if, their canonical forms are equal.
        """
        acting = {name: (factor.level(self), factor.canonical_level(self)) for name, factor in MERGING.items()}
        changes = {name: same for name, (level, same) in acting.items() if level != same}
        settings = self.at(changes) if changes else self
        used = tuple(own for own in self.own if own.serves(settings))
        return settings if used == self.own else settings.model_copy(update={"own": used})

    @property
    def own_measures(self) -> tuple[str, ...]:
        """The measures of a user's own that are taken of it."""
        return tuple(own.name for own in self.own if own.kind == MEASURES.kind and own.serves(self))

    @property
    def column_measures(self) -> tuple[str, ...]:
        """What tables have columns for only where it is asked for: measures, averaged weights, a user's own."""
        averaging = (AVERAGING,) if self.train.average != "none" else ()
        return (*(name for name in self.measure.also if name in APART), *averaging, *self.own_measures)

    @property
    def normed_blocks(self) -> tuple[bool, ...]:
        """Which hidden blocks have BN, or what stands in its place."""
        covered = coverage_mask(self.norm.coverage, self.model.depth)
        there = self.norm.placement != "none" and bool(self.norm_steps)
        return covered if there else (False,) * len(covered)

    @property
    def norm_steps(self) -> range:
        """The training steps in which the network has its normalizers; all of them by default."""
        return range(self.norm.since, self.leaves_at or self.train.steps)

    @property
    def moving_steps(self) -> range:
        """The training steps in which moving statistics move."""
        steps = self.norm_steps
        return range(steps.start, min(self.norm.frozen_from or steps.stop, steps.stop))

    @property
    def leaves_at(self) -> int:
        """The step from which on the network has no normalizer any more; 0: it keeps them to the end."""
        return self.norm.until if self.norm.until < self.train.steps else 0

    def normalized_after(self, step: int) -> bool:
        """Whether the network has its normalizers when so many steps are done, if it has any."""
        return self.norm.since <= step and (not self.leaves_at or step < self.leaves_at)

    @property
    def shifting_blocks(self) -> tuple[bool, ...]:
        """Which hidden blocks divide by a moving variance in evaluation."""
        kind = NORMALIZERS.get(self.norm.kind)
        moves = kind is None or kind.moves[1]
        return tuple(normed and moves for normed in self.normed_blocks)

    @property
    def centred_blocks(self) -> tuple[bool, ...]:
        """Which hidden blocks subtract a moving mean in evaluation."""
        kind = NORMALIZERS.get(self.norm.kind)
        moves = kind is None or kind.moves[0]
        return tuple(normed and moves for normed in self.normed_blocks)

    @property
    def input_normed(self) -> bool:
        """Whether BN, or what stands in its place, comes before the first linear map.

        It does for coverage `input`, and for dropout site `ic` unless coverage is `none`.
        """
        covered = self.norm.coverage == "input" or (self.dropout.site == "ic" and self.norm.coverage != "none")
        return covered and self.norm.placement != "none" and bool(self.norm_steps)

    @property
    def normalizes(self) -> bool:
        """Whether the network has BN, or what stands in its place, anywhere."""
        return self.input_normed or any(self.normed_blocks)

    @property
    def has_scale(self) -> bool:
        """Whether the network has γ."""
        return self.normalizes and self.norm.affine in ("scale", "both")

    @property
    def scaled_residuals(self) -> tuple[int, ...]:
        """The blocks at whose BN `norm.residual_scale_init` says what γ starts from."""
        if self.norm.residual_scale_init is None or not ON_RESIDUAL_SCALES.holds(self):
            return ()
        return tuple(i for i in self.model.layout().residuals if self.normed_blocks[i])

    @property
    def has_bias(self) -> bool:
        """Whether the network has β."""
        return self.normalizes and self.norm.affine in ("bias", "both")

    @property
    def has_alpha(self) -> bool:
        """Whether the network has the α of a tanh in the place of BN."""
        return self.normalizes and "alpha_init" in used_by(self.norm.kind)

    @property
    def trains_something(self) -> bool:
        """Whether any parameter is trained."""
        return self.train.trainable != "affine_only" or self.has_scale or self.has_bias

    def notes(self) -> list[Problem]:
        """What is allowed and seldom meant: remarks by their keys."""
        return [*notes(self), *idle(self)]

    def misfits(self, layout: Layout, *, entry: bool = False) -> Iterator[Problem]:
        """Where the normalizer cannot stand in a network of this layout; at its input only if `entry` is known."""
        kind, groups = NORMALIZERS.get(self.norm.kind), self.norm.groups
        if kind is None or NETWORKS.get(self.model.architecture) is None:
            return
        blocks = zip(self.normed_blocks, layout.layers, strict=True)
        places = {f"block {i}": layer.output for i, (normed, layer) in enumerate(blocks) if normed}
        for place, shape in (places | ({"the input": layout.entry} if entry and self.input_normed else {})).items():
            if misfit := kind.misfit(shape, groups):
                key, said = misfit
                yield Problem(f"norm.{key}", f"= {getattr(self.norm, key)} {said.format(place)}")
                return

    def problems(self) -> list[Problem]:
        """What only the combination of settings can get wrong."""
        found = []
        try:
            coverage_mask(self.norm.coverage, self.model.depth)
        except ValueError as error:
            found.append(Problem("norm.coverage", str(error)))
        try:
            layout = self.model.layout()
        except ValueError as error:
            found.append(Problem("model.depth", str(error)))
        else:
            found += [] if found else [*self.misfits(layout), *span_problems(self, layout)]
        if self.train.precision == "bfloat16":
            said = {"scale_init": self.norm.scale_init, "bias_init": self.norm.bias_init}
            beyond = [name for name, value in said.items() if math.isinf(bfloat16(value))]
            found += [Problem(f"norm.{name}", f"= {said[name]} is infinite in bfloat16") for name in beyond]
        size, batch = self.norm.batch_size, self.train.batch_size
        if size and batch % size:
            below = max(n for n in range(1, size + 1) if batch % n == 0)
            found.append(
                Problem(
                    "norm.batch_size",
                    f"= {size} does not divide train.batch_size = {batch} into equal groups; {below} does",
                )
            )
        if self.train.epochs is not None:
            unknown = "counts training examples, and data.n_train does not say how many there are: say it, as a number"
            found.append(Problem("train.epochs", f"= {self.train.epochs:g} {unknown}"))
        elif self.train.warmup_steps >= self.train.steps:
            found.append(
                Problem("train.warmup_steps", f"= {self.train.warmup_steps} leaves no step of {self.train.steps}")
            )
        return found


def of_program(lanes: Sequence[LaneSettings]) -> LaneSettings:
    """The first of `lanes`, which share a program, with each static factor at the level of those in which it acts."""

    def level(factor: Factor) -> Any:
        acting = (alike for lane in lanes if (alike := factor.levels_alike(lane)) is not None)
        return next(acting, (factor.default,))[0]

    return lanes[0].at({name: level(factor) for name, factor in SETTINGS.items() if not factor.traced})


def base_settings(study: Study) -> LaneSettings:
    """The settings that all lanes of `study` start from."""
    own = sorted(
        Own(kind, name, extension.sha256)
        for extension in study.extensions
        for kind, names in extension.provides.items()
        for name in names
        if kind in REGISTRIES and REGISTRIES[kind].of_lanes
    )
    sections = {name: getattr(study, name) for name in SECTIONS}
    sections["measure"] = study.measure.model_copy(update={"keep": ()})  # what is kept of a lane makes it no other
    return LaneSettings(**sections, own=tuple(own))
