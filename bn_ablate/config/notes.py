"""Settings that are allowed, do what they say, and are seldom meant: what a plan and a report remark on."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config.errors import Problem
from bn_ablate.config.factors import SETTINGS
from bn_ablate.config.normalizers import NORMALIZERS, used_by

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings

REMEMBERED = 0.01
"""More of the initial moving statistics than this, at the end of training, is remarked on."""
EMPTIED = 0.01
"""So is a larger share of examples of which dropout takes all units of a layer."""
FAR = 3.0
"""So are β of more than so many γ below 0, in front of a relu."""


class Note(NamedTuple):
    """A remark: the key, a sentence that begins with its value, and the cells that it is about."""

    key: str
    message: str
    cells: str

    def __str__(self) -> str:
        return f"{self.key} {self.message} ({self.cells})"


def notes(lane: LaneSettings) -> Iterator[Problem]:
    """What to remark on in the settings of one lane."""
    if lane.normalizes:
        if lane.norm.kind == "batch":
            yield from _of_few_examples(lane)
        yield from _of_constants(lane)
        yield from _of_scale(lane)
    elif lane.norm.placement != "none" and not lane.norm_steps:
        yield Problem(
            "norm.since", f"= {lane.norm.since:,}: never comes, in {lane.train.steps:,} steps, and there is no BN"
        )
    elif lane.norm.placement != "none":
        yield Problem("norm.coverage", f"= {lane.norm.coverage}: there is no BN, whatever norm.placement says")
    yield from _of_training(lane)
    yield from _of_dropout(lane)


def idle(lane: LaneSettings) -> Iterator[Problem]:
    """The settings of a lane that are not at their default, and have no effect in it."""
    for factor in SETTINGS.values():
        level = factor.level(lane)
        if level != factor.default and not factor.acts.holds(lane):
            yield Problem(factor.path, f"= {json.dumps(level)}: has no effect; it acts {factor.acts.words}")


def notes_of(cells: Iterable[tuple[Mapping[str, Any], LaneSettings]]) -> list[Note]:
    """What to remark on in a study's cells, given as their levels and settings: each remark once, with its cells.

    A setting that has no effect in some cells, as BN's momentum in those without BN, is none; in all of them it is.
    """
    every = list(cells)
    found: dict[Problem, list[Mapping[str, Any]]] = {}
    nowhere: Counter[Problem] = Counter()
    for levels, lane in every:
        for problem in notes(lane):
            found.setdefault(problem, []).append(levels)
        nowhere.update(idle(lane))
    found |= {problem: [levels for levels, _ in every] for problem, n in nowhere.items() if n == len(every)}
    return [Note(*problem, _where(concerned, [levels for levels, _ in every])) for problem, concerned in found.items()]


def _where(concerned: list[Mapping[str, Any]], every: list[Mapping[str, Any]]) -> str:
    """Which cells these are: the levels of the axes of which they do not have all."""
    if len(concerned) == len(every):
        return "in every cell"
    said = []
    for axis in every[0]:
        there = dict.fromkeys(levels[axis] for levels in concerned)
        if len(there) < len({levels[axis] for levels in every}):
            said.append(f"{axis} {', '.join(map(str, there))}")
    return f"in {len(concerned):,} of {len(every):,} cells" + f": {'; '.join(said)}" * bool(said)


def _of_few_examples(lane: LaneSettings) -> Iterator[Problem]:
    """How many examples the statistics of a batch are taken over."""
    norm = lane.norm
    size = norm.batch_size or lane.train.batch_size
    key = "norm.batch_size" if norm.batch_size else "train.batch_size"
    if size == 1 and lane.model.layout().flat:
        yield Problem(
            key, "= 1: an example is its own mean, so that in training BN gives β and no kernel before it learns"
        )
    elif size == 1:
        yield Problem(
            key, "= 1: each image is normalized by its own pixels, and BN gives β in training where one pixel is left"
        )
    elif size == 2 and lane.model.layout().flat:
        yield Problem(key, "= 2: in training BN turns each pair of values into ±1, and only their order is left")


def _of_constants(lane: LaneSettings) -> Iterator[Problem]:
    """What the moving statistics remember, and what is added to a variance."""
    norm, steps, acting = lane.norm, len(lane.moving_steps), used_by(lane.norm.kind)
    moved = "momentum" in acting and norm.moving_average == "exponential" and norm.momentum_end is None
    if not moved:
        pass
    elif norm.momentum == 1 and not norm.since:
        yield Problem(
            "norm.momentum", "= 1: the moving statistics stay at mean 0 and variance 1, by which evaluation normalizes"
        )
    elif norm.momentum == 0:
        yield Problem("norm.momentum", "= 0: the moving statistics are those of the last batch alone")
    elif not norm.since and (left := norm.momentum**steps) > REMEMBERED:
        yield Problem(
            "norm.momentum",
            f"= {norm.momentum:g}: after {steps:,} steps {left:.0%} of the moving statistics are still what they began "
            "with, mean 0 and variance 1",
        )
    if "epsilon" in acting and norm.epsilon >= 1:
        yield Problem("norm.epsilon", f"= {norm.epsilon:g}: is no small number beside variances of about 1")


def _of_scale(lane: LaneSettings) -> Iterator[Problem]:
    """What γ and β start from."""
    norm, pre = lane.norm, lane.norm.placement == "pre"
    scale, bias = norm.scale_init if lane.has_scale else 1.0, norm.bias_init if lane.has_bias else 0.0
    kind = NORMALIZERS.get(norm.kind)
    off = lane.model.activation == "relu" and pre and kind is not None and kind.standardizes
    if scale == 0:
        in_a_row = sum(lane.normed_blocks) + lane.input_normed > 1 and not lane.model.layout().residuals
        stays = lane.train.trainable == "all_but_scale"
        stuck = in_a_row or stays or (off and bias <= 0)
        yield Problem(
            "norm.scale_init",
            "= 0: at first BN gives β alone, the same for every example, and passes no gradient back"
            + ", so that nothing but biases ever learns" * stuck,
        )
    elif off and bias < -FAR * abs(scale):
        share = 0.5 * math.erfc(-bias / abs(scale) / math.sqrt(2))
        yield Problem(
            "norm.bias_init", f"= {bias:g}: at first a relu after BN lets through about {share:.1g} of all values"
        )


def _of_training(lane: LaneSettings) -> Iterator[Problem]:
    """What the optimizer does, or does not."""
    train = lane.train
    if not lane.trains_something:
        yield Problem("train.trainable", "= affine_only: there is neither γ nor β, and nothing is trained")
    if 2 * train.warmup_steps > train.steps:
        yield Problem(
            "train.warmup_steps",
            f"= {train.warmup_steps:,}: the learning rate rises for {train.warmup_steps / train.steps:.0%} of the "
            f"{train.steps:,} steps",
        )
    if train.average != "none" and not train.averages:
        yield Problem(
            "train.average_start",
            f"= {train.average_start}: never comes, in {train.steps:,} steps, and averaged weights are the last ones",
        )
    if train.schedule == "step" and train.drops:
        if beyond := [f"{said:,}" for said in train.milestones if said >= train.steps]:
            yield Problem("train.milestones", f"= {', '.join(beyond)}: never comes, in {train.steps:,} steps")
        if rising := [f"{drop:,}" for drop in train.drops if drop < train.warmup_steps]:
            yield Problem(
                "train.milestones",
                f"at step {', '.join(rising)}: the learning rate still rises then, for {train.warmup_steps:,} steps, "
                "and begins lower after them",
            )


def _of_dropout(lane: LaneSettings) -> Iterator[Problem]:
    """A rate at which now and then nothing is left of a layer."""
    layout, rate = lane.model.layout(), lane.dropout.rate
    if lane.dropout.kind != "bernoulli" or not layout.flat:
        return
    width = min(math.prod(layer.output) for layer in layout.layers)
    if (emptied := rate**width) > EMPTIED:
        yield Problem(
            "dropout.rate",
            f"= {rate:g}: all {width} units of a layer are dropped for {emptied:.1%} of the examples",
        )
