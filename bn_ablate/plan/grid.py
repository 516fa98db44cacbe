"""From a study to its lanes: cells × seeds, their ids, and the groups that share a compiled program."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any, NamedTuple

from bn_ablate.config.errors import ConfigError
from bn_ablate.config.factors import SETTINGS
from bn_ablate.config.lane import LaneSettings, base_settings, of_program
from bn_ablate.config.schema import Study
from bn_ablate.plan.identity import hashed, id_at
from bn_ablate.plan.refusals import refusals_of


@dataclass(frozen=True)
class Cell:
    """One combination of levels.

    Attributes:
        levels: axis -> level.
        stated: the settings that they make.
    """

    levels: dict[str, Any]
    stated: LaneSettings = field(repr=False)

    @cached_property
    def settings(self) -> LaneSettings:
        """The settings without what does not act in them: equal for cells that are the same network."""
        return self.stated.canonical

    @cached_property
    def _hashed(self) -> str:
        return hashed(self.settings)

    def matches(self, rule: dict[str, Any]) -> bool:
        """Whether every axis that `rule` names stands at (one of) the level(s) given there."""
        return all(
            self.levels[axis] in (wanted if isinstance(wanted, list | tuple) else (wanted,))
            for axis, wanted in rule.items()
        )

    def lane_id(self, seed: int) -> str:
        """The id of this cell's lane at `seed`."""
        return id_at(self._hashed, seed)


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

    @cached_property
    def settings(self) -> LaneSettings:
        """Settings whose static part is that of the program."""
        return of_program([cell.settings for cell in self.kin])


@dataclass(frozen=True, repr=False)
class Plan:
    """What a study amounts to.

    Attributes:
        whole: the plan that this one is a part of, if it is one.
        quick: whether it is cut down to seconds, so that its results mean nothing.
        reach: network -> the seed below which all are its own, at a look at a study whose seeds go on until it is
            decided; None: every network has all seeds.
    """

    study: Study
    cells: tuple[Cell, ...]
    groups: tuple[Group, ...]
    whole: Plan | None = None
    quick: bool = False
    reach: Mapping[LaneSettings, int] | None = None

    def __repr__(self) -> str:
        n = len(self.cells), len(self.seeds), self.n_lanes, len(self.groups)
        counts = (f"{k} {what}{'s' * (k != 1)}" for k, what in zip(n, ("cell", "seed", "lane", "program"), strict=True))
        return f"Plan({self.study.name}: {', '.join(counts)})"

    def _repr_html_(self) -> str:
        """Axes, levels and how much there is to train, as a notebook shows them."""
        rows = [(axis, ", ".join(map(str, levels))) for axis, levels in self.study.axes.items()]
        rows.append(("seed", ", ".join(map(str, self.seeds))))
        cells = "".join(f"<tr><th>{escape(axis)}</th><td>{escape(levels)}</td></tr>" for axis, levels in rows)
        counts = f"{len(self.cells):,} cells × {len(self.seeds):,} seeds: {self.n_lanes:,} lanes, "
        programs, hypotheses = len(self.groups), len(self.study.hypotheses)
        counts += f"{programs:,} compiled program{'s' * (programs != 1)}, "
        counts += f"{hypotheses:,} hypothes{'i' if hypotheses == 1 else 'e'}s"
        title = escape(self.study.title)
        return f"<p><b>{escape(self.study.name)}</b> {title}<br>{counts}</p><table>{cells}</table>"

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the study's order: those that some network has."""
        seeds, end = self.study.seed_list, None if self.reach is None else max(self.reach.values())
        return seeds if end is None else tuple(seed for seed in seeds if seed < end)

    def seeds_of(self, cell: Cell) -> tuple[int, ...]:
        """The seeds of one cell."""
        seeds, reach = self.study.seed_list, self.reach
        return seeds if reach is None else tuple(seed for seed in seeds if seed < reach[cell.settings])

    def reaching(self, networks: Collection[LaneSettings], seeds: int) -> Plan:
        """The plan of a look: the first `seeds` for these networks, and what they had before for the others."""
        before, end = self.reach or {}, self.study.seed_list[seeds - 1] + 1
        reach = {
            cell.settings: end if cell.settings in networks else before.get(cell.settings, 0) for cell in self.cells
        }
        return replace(self, reach=reach)

    @property
    def rows(self) -> list[Lane]:
        """Every cell at every seed; a lane is there once for each cell that it stands for."""
        return [Lane(cell, seed, cell.lane_id(seed)) for cell in self.cells for seed in self.seeds_of(cell)]

    @property
    def lanes(self) -> list[Lane]:
        """Every lane once, at the first of its cells."""
        first: dict[str, Lane] = {}
        for lane in self.rows:
            first.setdefault(lane.id, lane)
        return list(first.values())

    @property
    def n_rows(self) -> int:
        """How many cells there are, each counted at every seed."""
        return sum(len(self.seeds_of(cell)) for cell in self.cells)

    @property
    def n_lanes(self) -> int:
        """How many networks there are to train."""
        return sum(len(self.seeds_of(cell)) for group in self.groups for cell in group.cells)


def cells_of(study: Study) -> tuple[Cell, ...]:
    """Every combination of levels that no exclusion matches, the last axis changing fastest."""
    base = base_settings(study)
    combinations = (dict(zip(study.axes, levels, strict=True)) for levels in itertools.product(*study.axes.values()))
    cells = (Cell(levels, base.at(levels).counted) for levels in combinations)
    return tuple(cell for cell in cells if not any(cell.matches(rule) for rule in study.exclude))


def make_plan(study: Study) -> Plan:
    """Lay `study` out as cells and groups.

    Raises:
        ConfigError: a combination of settings cannot be, a hypothesis has lost its cells, or no cell is left.

    Examples:
        >>> plan = bn.make_plan(bn.load_study("smoke"))
        >>> plan
        Plan(smoke: 12 cells, 4 seeds, 48 lanes, 1 program)
        >>> plan.cells[0]
        Cell(levels={'placement': 'none', 'activation': 'sigmoid', 'dropout_rate': 0.0})
    """
    cells = cells_of(study)
    if problems := refusals_of(study, cells):
        raise ConfigError(study.name, problems)
    members = _by_program(_networks(cells))
    return Plan(study, cells, tuple(Group(tuple(group), tuple(group)) for group in members))


def first_look(plan: Plan) -> Plan:
    """The plan of the first look, which has all cells; `plan` itself where the number of seeds is fixed."""
    looks = plan.study.looks
    return plan.reaching({cell.settings for cell in plan.cells}, looks[0]) if looks else plan


def _networks(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each network, the first one."""
    first: dict[LaneSettings, Cell] = {}
    for cell in cells:
        first.setdefault(cell.settings, cell)
    return list(first.values())


def _by_program(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells that share a program, together.

    A program has one level of each static factor, that of the cells in which it acts. Cells in which several levels of
    it are the same network join a program that is there for others, if there is one; the cells that a program is there
    for come first.
    """
    groups: dict[_Levels, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(_static_levels(cell.settings), []).append(cell)
    hosts: dict[_Levels, list[Cell]] = {}
    for levels in sorted(groups, key=lambda levels: sum(alike is None or len(alike) > 1 for alike in levels)):
        host = next((host for host in hosts if _serves(host, levels)), levels)
        joint = tuple(mine if held is None else held for held, mine in zip(host, levels, strict=True))
        hosts = {joint if levels == host else levels: cells for levels, cells in hosts.items()}
        hosts.setdefault(joint, []).extend(groups[levels])
    return list(hosts.values())


_Levels = tuple[tuple[Any, ...] | None, ...]
"""For each static factor the levels that will do; None: all of them."""


def _static_levels(settings: LaneSettings) -> _Levels:
    return tuple(factor.levels_alike(settings) for factor in SETTINGS.values() if not factor.traced)


def _serves(host: _Levels, levels: _Levels) -> bool:
    """Whether the program for the cells of `host` can be one for cells that `levels` will do for."""
    return all(mine is None or held is None or held[0] in mine for mine, held in zip(levels, host, strict=True))
