"""What is wrong with a study that only its cells can show: settings that cannot be, gaps, sides that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bn_ablate.config.errors import Problem
from bn_ablate.config.schema import Study
from bn_ablate.config.sides import check_sides
from bn_ablate.plan.identity import canonical_json
from bn_ablate.plan.sameness import idle_axes, same_networks

if TYPE_CHECKING:
    from bn_ablate.plan.grid import Cell


UNCHOSEN = "validation loss chooses them, and data.n_validation is 0"
"""Why there are no best weights."""


def refusals_of(study: Study, cells: tuple[Cell, ...]) -> list[Problem]:
    """What only whole cells can get wrong, each message once."""
    if not cells:
        return [Problem("exclude", "leaves nothing of the grid")]
    found = {problem.message: problem for cell in cells for problem in cell.stated.problems()}
    if found:
        return list(found.values())
    found |= {problem.key: problem for problem in idle_axes(study, cells)}
    found |= {problem.key: problem for problem in _unkept(study, cells)}
    return list((found | refused_hypotheses(study, cells)).values())


def _unkept(study: Study, cells: tuple[Cell, ...]) -> Iterator[Problem]:
    """Weights that are to be kept, and that no lane has."""
    keep = study.measure.keep
    if "best" in keep and study.data.n_validation == 0:
        yield Problem("measure.keep", f"lists the best weights: {UNCHOSEN}")
    if "averaged" in keep and all(cell.settings.train.average == "none" for cell in cells):
        yield Problem("measure.keep", "lists averaged weights, and no lane has any: set train.average = 'ema' or 'swa'")


def refused_hypotheses(study: Study, cells: tuple[Cell, ...]) -> dict[str, Problem]:
    """What is wrong with the hypotheses of `study` in its cells, by key."""
    found = {problem.key: problem for problem in same_networks(study, cells)}
    for hypothesis in study.hypotheses:
        sides: dict[str, list[dict[str, Any]]] = {}
        for side, rule in hypothesis.sides.items():
            key = f"{hypothesis.where}.{side}"
            sides[side] = members = [cell.levels for cell in cells if cell.matches(rule)]
            if not members:
                found[key] = Problem(key, "matches no cell: the exclusions leave none of them")
            elif side in hypothesis.spanning:
                found |= {problem.key: problem for problem in _gaps(key, members, hypothesis.along)}
        if all(sides.values()):
            found |= {problem.key: problem for problem in check_sides(hypothesis, sides)}
    return found


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
