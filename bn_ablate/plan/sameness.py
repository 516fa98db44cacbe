"""Cells that are the same network: an axis must make a difference somewhere, and no network is held to itself."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bn_ablate.config.acting import ALWAYS
from bn_ablate.config.errors import Problem
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.hypotheses import SIGNS
from bn_ablate.config.schema import Study

if TYPE_CHECKING:
    from bn_ablate.plan.grid import Cell


def idle_axes(study: Study, cells: Sequence[Cell]) -> Iterator[Problem]:
    """A problem for each axis with levels that are the same network in every cell that has them."""
    all_differ = _all_differ(cells)
    for axis, levels in study.axes.items():
        key, acts = f"axes.{axis}", FACTORS[axis].acts
        pairs = [] if all_differ else _levels_alike(axis, cells)
        if len(levels) > 1 and not any(acts.holds(cell.settings) for cell in cells):
            yield Problem(key, f"makes no difference in any cell: it acts {acts.words}; leave it out")
        elif pairs:
            one, other = (json.dumps(level) for level in pairs[0])
            yield Problem(
                key, f"has levels that are the same network in every cell: {one} and {other}; leave one of them out"
            )


def levels_alike(axis: str, cells: Sequence[Cell]) -> list[tuple[Any, Any]]:
    """The pairs of levels of `axis` that are in the same cells, and in each of them the same network."""
    return [] if _all_differ(cells) else _levels_alike(axis, cells)


def _all_differ(cells: Sequence[Cell]) -> bool:
    """Whether no two of `cells` are the same network."""
    return len({cell.settings for cell in cells}) == len(cells)


def _levels_alike(axis: str, cells: Sequence[Cell]) -> list[tuple[Any, Any]]:
    networks: dict[Any, set[tuple[Any, ...]]] = {}
    for cell in cells:
        others = tuple(level for name, level in cell.levels.items() if name != axis)
        networks.setdefault(cell.levels[axis], set()).add((others, cell.settings))
    alike: dict[frozenset[tuple[Any, ...]], list[Any]] = {}
    for level, of_level in networks.items():
        alike.setdefault(frozenset(of_level), []).append(level)
    return [pair for levels in alike.values() for pair in itertools.combinations(levels, 2)]


def same_networks(study: Study, cells: Sequence[Cell]) -> Iterator[Problem]:
    """A problem for each hypothesis that compares cells of which some are the same network.

    A network that is on both sides takes away from their difference, and says nothing of what is compared.
    """
    if _all_differ(cells):
        return
    for hypothesis in study.hypotheses:
        sides = {side: [cell for cell in cells if cell.matches(rule)] for side, rule in hypothesis.sides.items()}
        key = hypothesis.where
        for one, other in _compared(sides):
            if message := _shared(f"{one} and {other} hold", sides[one], sides[other]):
                yield Problem(key, message)
                break
        else:
            axis = hypothesis.along
            for side in hypothesis.spanning:
                pairs = itertools.combinations(_sharing(sides[side], axis, study.axes[axis]), 2)
                found = (_shared(f"at two levels of {axis}, {side} holds", *pair) for pair in pairs)
                if message := next(filter(None, found), None):
                    yield Problem(key, message)
                    break


def _compared(sides: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The pairs of sides of which one is subtracted from the other."""
    return [(one, other) for one, other in itertools.combinations(sides, 2) if SIGNS[one] != SIGNS[other]]


def _sharing(cells: Iterable[Cell], axis: str, levels: Iterable[Any]) -> list[list[Cell]]:
    """The cells of each of the `levels` of `axis` that has a network which is at another one too."""
    members: dict[Any, list[Cell]] = {level: [] for level in levels}
    for cell in cells:
        members[cell.levels[axis]].append(cell)
    times = Counter(network for some in members.values() for network in {cell.settings for cell in some})
    return [some for some in members.values() if any(times[cell.settings] > 1 for cell in some)]


def _shared(who: str, one: Sequence[Cell], other: Sequence[Cell]) -> str | None:
    """A sentence on a network that is on both sides, as different cells; None where there is none."""
    there = {cell.settings: cell for cell in other}
    twins = [(cell, there[cell.settings]) for cell in one if cell.settings in there]
    twins = [(cell, twin) for cell, twin in twins if cell.levels != twin.levels]
    if not twins:
        return None
    first, second = (pair.levels for pair in twins[0])
    axes = [axis for axis in first if first[axis] != second[axis]]
    where = [f"{axis} = {json.dumps(level)}" for axis, level in first.items() if axis not in axes]
    levels = [", ".join(f"{axis} = {json.dumps(cell[axis])}" for axis in axes) for cell in (first, second)]
    acts = "; ".join(f"{axis} acts {FACTORS[axis].acts.words}" for axis in axes if FACTORS[axis].acts is not ALWAYS)
    remedy = _remedy([cell for pair in twins for cell in pair], [*one, *other])
    at = f" at {', '.join(where)}" if where else ""
    return (
        f"{who} the same network: {' and '.join(levels)} make no difference{at}{f' ({acts})' if acts else ''}; {remedy}"
    )


def _remedy(same: Sequence[Cell], cells: Sequence[Cell]) -> str:
    """Which levels to name, so that none of the cells `same` is left."""
    for axis in cells[0].levels:
        taken = {cell.levels[axis] for cell in same}
        left = list(dict.fromkeys(cell.levels[axis] for cell in cells if cell.levels[axis] not in taken))
        if left:
            return f"name cells that differ, as in {axis} = {json.dumps(left if len(left) > 1 else left[0])}"
    return "name cells that differ"
