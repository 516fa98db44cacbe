"""Parts of a study that are studies themselves: some levels of it, or a quick form that takes seconds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bn_ablate.config.errors import ConfigError, Problem
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.hypotheses import Hypothesis, levels_in
from bn_ablate.config.hypothesis_checks import expand_hypotheses
from bn_ablate.config.only import SEED, check_only
from bn_ablate.config.schema import Study
from bn_ablate.plan.grid import Group, Plan, cells_of, first_look, make_plan
from bn_ablate.plan.refusals import refused_hypotheses
from bn_ablate.plan.sameness import levels_alike

LONGEST_NAME = 64
"""The most characters that a study's name may have."""


def restrict(plan: Plan, only: Mapping[str, Any]) -> Plan:
    """The part of `plan` at the levels of `only`: a study of its own, with the same lanes, programs and no hypotheses.

    `only` maps an axis, or `seed`, to a level or several; with seeds until decided, they are those of the first look.
    Lanes keep their ids, and their programs are those of the whole plan, so that a lane trained in a part gives the
    numbers that it gave in the whole.

    Raises:
        ConfigError: an axis or a level is none of the study's, or the exclusions leave nothing.
    """
    study = plan.study
    chosen = check_only(study, only)
    axes = {axis: chosen.get(axis, levels) for axis, levels in study.axes.items()}
    levels = {axis: levels for axis, levels in chosen.items() if axis != SEED}
    cells = tuple(cell for cell in plan.cells if cell.matches(levels))
    if not cells:
        raise ConfigError("only", [Problem("", "the exclusions of the study leave nothing of it")])
    part = study.model_copy(
        update={
            "name": part_name(study.name, chosen),
            "seeds": chosen.get(SEED, first_look(plan).seeds),
            "axes": axes,
            "exclude": _narrowed(study.exclude, axes),
            "hypotheses": (),
        }
    )
    wanted = {cell.settings for cell in cells}
    groups = (Group(tuple(cell for cell in group.cells if cell.settings in wanted), group.kin) for group in plan.groups)
    return Plan(part, cells, tuple(group for group in groups if group.cells), plan.whole or plan, plan.quick)


QUICK_SEEDS, QUICK_STEPS, QUICK_PROGRAMS = 2, 12, 2
"""Seeds and steps of a quick study, and levels of each axis that costs a program for every level."""


def quick(study: Study) -> Study:
    """`study` cut down to seconds, to see that it goes through; called `<name>-quick`, since its verdicts say nothing.

    The axis `steps` is dropped, every other static one is thinned to its first levels that have cells, and of levels
    that have become the same network one stays. Exclusions and hypotheses are narrowed to what is left, so that the
    quick study is one that a file could hold. A hypothesis stays if it still has its cells, and if it does not speak of
    `steps`.
    """
    cells, axes = [cell.levels for cell in cells_of(study)], dict(study.axes)
    steps = axes.pop("steps", ())
    for axis, levels in axes.items():
        if not FACTORS[axis].traced:
            there = [level for level in levels if any(cell[axis] == level for cell in cells)]
            axes[axis] = tuple(there[:QUICK_PROGRAMS])
            cells = [cell for cell in cells if cell[axis] in axes[axis]]
    # what is left out at some of the steps only is there at others
    always = [rule for rule in study.exclude if levels_in(rule, "steps", steps) == steps]
    start, full = study.train.average_start, study.train.steps
    lasting = ({axis: levels for axis, levels in rule.items() if axis != "steps"} for rule in always)
    changes = {
        "steps": QUICK_STEPS,
        "epochs": None,
        "warmup_steps": min(study.train.warmup_steps, QUICK_STEPS // 2),
        "average_start": start if start is None or start < 1 else start / full,
        "milestones": tuple(said if said < 1 else said / full for said in study.train.milestones),
    }
    short = study.model_copy(
        update={
            "name": f"{study.name[: LONGEST_NAME - 6]}-quick",
            "seeds": study.seed_list[:QUICK_SEEDS],
            "axes": axes,
            "exclude": _narrowed(lasting, axes),
            "train": study.train.model_copy(update=changes),
            "measure": study.measure.model_copy(update={"every": QUICK_STEPS // 2}),
            "hypotheses": (),
        }
    )
    left = cells_of(short)
    for axis in tuple(axes):
        if twice := {other for _, other in levels_alike(axis, left)}:
            axes[axis] = tuple(level for level in axes[axis] if level not in twice)
            short = short.model_copy(update={"axes": dict(axes), "exclude": _narrowed(short.exclude, axes)})
            left = cells_of(short)
    return short.model_copy(update={"hypotheses": tuple(_still_there(short, study.hypotheses))})


def quick_plan(study: Study) -> Plan:
    """The plan of `study`, cut down to seconds.

    Raises:
        ConfigError: as `make_plan` does.
    """
    return replace(make_plan(quick(study)), quick=True)


def _still_there(short: Study, hypotheses: Iterable[Hypothesis]) -> Iterator[Hypothesis]:
    """Those of `hypotheses` that can be put to the test in `short`, their sides narrowed to its levels."""
    cells = cells_of(short)
    for hypothesis in hypotheses:
        sides = {
            side: {axis: _left(levels, short.axes.get(axis, ())) for axis, levels in rule.items()}
            for side, rule in hypothesis.sides.items()
        }
        asking = short.model_copy(update={"hypotheses": (hypothesis.model_copy(update=sides),)})
        if not expand_hypotheses(asking)[1] and not refused_hypotheses(asking, cells):
            yield from asking.hypotheses


def part_name(study: str, only: Mapping[str, tuple[Any, ...]]) -> str:
    """A name for the part of `study` at `only`, as `ablate.placement-pre.seed-3`; with a hash where it is too long."""
    said = ".".join(f"{axis}-{'-'.join(map(str, levels))}" for axis, levels in only.items())
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{study}.{said}")
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(f"{study}.{said}".encode()).hexdigest()[:10]
    return f"{study[: LONGEST_NAME - 16]}.only-{digest}"


def _narrowed(rules: Iterable[dict[str, Any]], axes: dict[str, tuple[Any, ...]]) -> tuple[dict[str, list[Any]], ...]:
    """Exclusions as far as they speak of levels in `axes`; those that speak of others only are left out."""
    within = ({axis: list(levels_in(rule, axis, axes[axis])) for axis in rule} for rule in rules)
    return tuple(rule for rule in within if all(rule.values()))


def _left(given: Any, levels: tuple[Any, ...]) -> Any:
    """A level, or those of a list of them that are in `levels`."""
    return [level for level in given if level in levels] if isinstance(given, list | tuple) else given
