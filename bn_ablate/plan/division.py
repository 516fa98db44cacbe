"""A plan divided among processes that know nothing of each other: part i of n, the same for whoever works it out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from bn_ablate.config.errors import ConfigError, Problem
from bn_ablate.plan.grid import Group, Plan

AS_TEXT = re.compile(r"0*(\d{1,7})/0*(\d{1,7})")

AT_LOOKS = (
    "parts know nothing of each other, and how many seeds a cell gets follows from what all of them say at a look: "
    "divide the first look, with --set seeds={first}, `bn-ablate merge` its parts, and run the study whole, which goes "
    "on from them"
)


class Part(NamedTuple):
    """Part `number`, from 1 on, `of` so many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that `text`, as `2/3`, stands for.

        Raises:
            ConfigError: it stands for none.
        """
        found = AS_TEXT.fullmatch(text.strip())
        part = cls(*map(int, found.groups())) if found else None
        if part is None or not 1 <= part.number <= part.of:
            raise ConfigError("--part", [Problem("", f"{text!r} is no part: I/N, as 2/3, with I from 1 to N")])
        return part

    def folder(self, study: str) -> str:
        """What the results folder of this part of `study` is called."""
        return f"{study}.part-{self.number}-of-{self.of}"


def portion(plan: Plan, part: Part) -> Plan:
    """The lanes of one part of `plan`, with the programs of the whole.

    Each seed is in one part with all its cells, so that what is paired is trained on one machine; parts have as many
    seeds, or one fewer. With twice or more times as many parts as seeds, each seed's cells are divided, group by group.

    Raises:
        ConfigError: it cannot be divided so.
    """
    seeds, n, place = plan.seeds, part.of, part.number - 1
    each = n // len(seeds)
    if plan.study.looks and plan.reach is None:
        raise ConfigError(plan.study.name, [Problem("--part", AT_LOOKS.format(first=plan.study.looks[0]))])
    if not divisible(plan, n):
        raise ConfigError(plan.study.name, [Problem("--part", f"there are no {n:,} parts: {divisions(plan)}")])
    if n <= len(seeds):
        own, groups = seeds[_share(len(seeds), place, n)], plan.groups
    else:
        own, block = seeds[place // each : place // each + 1], place % each
        shares = (
            replace(group, cells=group.cells[_share(len(group.cells), (block + i) % each, each)])
            for i, group in enumerate(plan.groups)
        )
        groups = tuple(group for group in shares if group.cells)
    return _only(plan, own, groups)


def divisible(plan: Plan, n: int) -> bool:
    """Whether there are `n` parts of `plan`."""
    return n <= len(plan.seeds) or (n % len(plan.seeds) == 0 and n <= plan.n_lanes)


def spread(plan: Plan, workers: int) -> int:
    """How many parts of `plan` so many workers take in turn: its seeds, or more where there are more workers."""
    seeds = len(plan.seeds)
    return seeds * min(-(-workers // seeds), plan.n_lanes // seeds)


def divisions(plan: Plan) -> str:
    """Into how many parts `plan` can be divided, in words."""
    if plan.study.looks:
        return f"with --set seeds={plan.study.looks[0]}, the first look alone; the others follow from what it decides"
    seeds = len(plan.seeds)
    alike = [n for n in range(2, seeds + 1) if seeds % n == 0]
    said = f"{seeds:,} seeds make {_words(alike)} like parts" if alike else "one seed stays whole in one part"
    cells = sum(len(group.cells) for group in plan.groups)
    return said + (f"; {2 * seeds:,}, {3 * seeds:,}, … divide the cells of a seed" if cells > 1 else "")


def _share(n: int, place: int, of: int) -> slice:
    """Which of `n` things are in the share at `place`, of near-equal ones."""
    return slice(place * n // of, (place + 1) * n // of)


def _only(plan: Plan, seeds: tuple[int, ...], groups: tuple[Group, ...]) -> Plan:
    trained = {cell.settings for group in groups for cell in group.cells}
    cells = tuple(cell for cell in plan.cells if cell.settings in trained)
    return replace(plan, study=plan.study.model_copy(update={"seeds": seeds}), cells=cells, groups=groups)


def _words(numbers: list[int]) -> str:
    *most, last = (f"{n:,}" for n in numbers)
    return f"{', '.join(most)} or {last}" if most else last
