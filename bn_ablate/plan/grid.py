"""From a study to its lanes: cells × seeds, their ids, and the groups that share a compiled program."""

from __future__ import annotations

import hashlib
import itertools
import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from bn_ablate.config.errors import ConfigError, Problem
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.hypotheses import Hypothesis
from bn_ablate.config.hypothesis_checks import expand_hypotheses, levels_in
from bn_ablate.config.lane import LaneSettings, base_settings
from bn_ablate.config.only import SEED, check_only
from bn_ablate.config.schema import Study
from bn_ablate.config.sides import check_sides
from bn_ablate.plan.sameness import idle_axes, levels_alike, same_networks

LANE_FORMAT = 1
"""Raised when the same settings and seed no longer give the same lane, so that no old result passes for a new one."""

LONGEST_NAME = 64
"""The most characters that a study's name may have."""


@dataclass(frozen=True)
class Cell:
    """One combination of levels.

    Attributes:
        levels: axis -> level.
        stated: the settings that they make.
    """

    levels: dict[str, Any]
    stated: LaneSettings

    @cached_property
    def settings(self) -> LaneSettings:
        """The settings without what does not act in them: equal for cells that are the same network."""
        return self.stated.canonical

    def matches(self, rule: dict[str, Any]) -> bool:
        """Whether every axis that `rule` names stands at (one of) the level(s) given there."""
        return all(
            self.levels[axis] in (wanted if isinstance(wanted, list | tuple) else (wanted,))
            for axis, wanted in rule.items()
        )

    def lane_id(self, seed: int) -> str:
        """The id of this cell's lane at `seed`."""
        return lane_id(self.settings, seed)


class Lane(NamedTuple):
    """One network to be trained: a cell at a seed. Cells that are the same network have the same lanes."""

    cell: Cell
    seed: int
    id: str


@dataclass(frozen=True)
class Group:
    """Networks that share every static setting, and so one compiled program.

    Attributes:
        cells: the cells to train, one for each network.
        kin: all cells that the program is made for; more than `cells` in a part of a plan.
    """

    cells: tuple[Cell, ...]
    kin: tuple[Cell, ...]

    @property
    def settings(self) -> LaneSettings:
        """Settings whose static part is that of the program."""
        return self.kin[0].settings


@dataclass(frozen=True)
class Plan:
    """What a study amounts to.

    Attributes:
        whole: the plan that this one is a part of, if it is one.
        quick: whether it is cut down to seconds, so that its results mean nothing.
    """

    study: Study
    cells: tuple[Cell, ...]
    groups: tuple[Group, ...]
    whole: Plan | None = None
    quick: bool = False

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the study's order."""
        return self.study.seed_list

    @property
    def rows(self) -> list[Lane]:
        """Every cell at every seed; a lane is there once for each cell that it stands for."""
        return [Lane(cell, seed, cell.lane_id(seed)) for cell in self.cells for seed in self.seeds]

    @property
    def lanes(self) -> list[Lane]:
        """Every lane once, at the first of its cells."""
        return list({lane.id: lane for lane in reversed(self.rows)}.values())[::-1]

    @property
    def n_rows(self) -> int:
        """How many cells there are, each counted at every seed."""
        return len(self.cells) * len(self.seeds)

    @property
    def n_lanes(self) -> int:
        """How many networks there are to train."""
        return sum(len(group.cells) for group in self.groups) * len(self.seeds)


def cells_of(study: Study) -> tuple[Cell, ...]:
    """Every combination of levels that no exclusion matches, the last axis changing fastest."""
    base = base_settings(study)
    combinations = (dict(zip(study.axes, levels, strict=True)) for levels in itertools.product(*study.axes.values()))
    cells = (Cell(levels, base.at(levels)) for levels in combinations)
    return tuple(cell for cell in cells if not any(cell.matches(rule) for rule in study.exclude))


def make_plan(study: Study) -> Plan:
    """Lay `study` out as cells and groups.

    Raises:
        ConfigError: a combination of settings cannot be, a hypothesis has lost its cells, or no cell is left.
    """
    cells = cells_of(study)
    if problems := _problems(study, cells):
        raise ConfigError(study.name, problems)
    members = _by_program(_networks(cells))
    return Plan(study, cells, tuple(Group(tuple(group), tuple(group)) for group in members))


def _networks(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each network, the first one."""
    first: dict[LaneSettings, Cell] = {}
    for cell in cells:
        first.setdefault(cell.settings, cell)
    return list(first.values())


def _by_program(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells that share a program, together.

    A program has one level of each static factor. Cells in which several levels of it are the same network join a
    program that is there for others, if there is one; the cells that a program is there for come first.
    """
    groups: dict[_Levels, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_static_levels(cell.settings), []).append(cell)
    hosts: dict[_Levels, list[Cell]] = {}
    for levels in sorted(groups, key=lambda levels: sum(alike is None or len(alike) > 1 for alike in levels)):
        host = next((host for host in hosts if _serves(host, levels)), levels)
        hosts.setdefault(host, []).extend(groups[levels])
    return list(hosts.values())


_Levels = tuple[tuple[Any, ...] | None, ...]
"""For each static factor the levels that will do; None: all of them."""


def _static_levels(settings: LaneSettings) -> _Levels:
    return tuple(factor.levels_alike(settings) for factor in FACTORS.values() if not factor.traced)


def _serves(host: _Levels, levels: _Levels) -> bool:
    """Whether the program for the cells of `host` is one for cells that `levels` will do for."""
    return all(
        mine is None or (theirs is not None and theirs[0] in mine) for mine, theirs in zip(levels, host, strict=True)
    )


def restrict(plan: Plan, only: Mapping[str, Any]) -> Plan:
    """The part of `plan` at the levels of `only`: a study of its own, with the same lanes, programs and no hypotheses.

    `only` maps an axis, or `seed`, to a level or several. Lanes keep their ids, and their programs are those of the
    whole plan, so that a lane trained in a part gives the numbers that it gave in the whole.

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
            "seeds": chosen.get(SEED, plan.seeds),
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
    lasting = ({axis: levels for axis, levels in rule.items() if axis != "steps"} for rule in always)
    changes = {"steps": QUICK_STEPS, "warmup_steps": min(study.train.warmup_steps, QUICK_STEPS // 2)}
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
    for axis in tuple(axes):
        twice = {other for _, other in levels_alike(axis, cells_of(short))}
        axes[axis] = tuple(level for level in axes[axis] if level not in twice)
        short = short.model_copy(update={"axes": dict(axes), "exclude": _narrowed(short.exclude, axes)})
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
        if not expand_hypotheses(asking)[1] and not _problems(asking, cells):
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


def _problems(study: Study, cells: tuple[Cell, ...]) -> list[Problem]:
    """What only whole cells can get wrong, each message once."""
    if not cells:
        return [Problem("exclude", "leaves nothing of the grid")]
    found = {problem.message: problem for cell in cells for problem in cell.stated.problems()}
    if found:
        return list(found.values())
    found |= {problem.key: problem for problem in (*idle_axes(study, cells), *same_networks(study, cells))}
    for hypothesis in study.hypotheses:
        axis = getattr(hypothesis, "axis", "")
        levels_by_side: list[set[Any]] = []
        sides: dict[str, list[dict[str, Any]]] = {}
        for side, rule in hypothesis.sides.items():
            key = f"hypotheses.{hypothesis.id}.{side}"
            sides[side] = members = [cell.levels for cell in cells if cell.matches(rule)]
            if not members:
                found[key] = Problem(key, "matches no cell: the exclusions leave none of them")
            elif side in hypothesis.spanning:
                found |= {problem.key: problem for problem in _gaps(key, members, axis)}
                levels_by_side.append({levels[axis] for levels in members})
        if all(sides.values()):
            found |= {problem.key: problem for problem in check_sides(hypothesis, sides)}
        if hypothesis.kind == "optimum_shift" and any(levels != levels_by_side[0] for levels in levels_by_side):
            key = f"hypotheses.{hypothesis.id}"
            found[key] = Problem(key, f"has other levels of {axis!r} in a than in b: the best ones cannot be compared")
    return list(found.values())


def _gaps(key: str, members: list[dict[str, Any]], axis: str) -> Iterator[Problem]:
    """A problem where cells along `axis` differ in more than that: its levels could not be compared."""
    others: dict[Any, set[str]] = {}
    for levels in members:
        others.setdefault(levels[axis], set()).add(canonical_json(levels | {axis: None}))
    whole = set.union(*others.values())
    for level, there in others.items():
        if there != whole:
            yield Problem(
                key,
                f"has {len(there)} of {len(whole)} cells at {axis} = {level}: the exclusions leave gaps, and its "
                "levels cannot be compared; name the cells that are there at every level",
            )
            return
    if len(others) < 2:
        yield Problem(key, f"has one level of {axis!r} left after the exclusions, and needs two or more")


def lane_id(settings: LaneSettings, seed: int) -> str:
    """A hash of all that determines a lane, whose settings are in their canonical form: 16 hexadecimal digits.

    Only what differs from the schema's defaults is hashed, so that a new key with a default leaves old ids alone;
    when a default or what it means changes, `LANE_FORMAT` is raised. Which other levels or seeds the study has plays
    no part.
    """
    said = {
        "format": LANE_FORMAT,
        "seed": operator.index(seed),
        "settings": settings.model_dump(mode="json", exclude_defaults=True),
    }
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()[:16]


def canonical_json(value: Any) -> str:
    """JSON with one spelling: sorted keys, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
