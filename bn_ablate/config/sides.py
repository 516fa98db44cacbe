"""Whether the cells that a hypothesis compares can be compared: sides that share none, and something to choose from."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bn_ablate.config.errors import Problem
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.hypotheses import SIGNS, Hypothesis, Levels, networks_in

MOST_NAMED = 6
"""A message names no more cells than that."""

UNTRAINED = {
    name
    for name, factor in FACTORS.items()
    if factor.path.startswith("train.") and factor.path not in ("train.precision", "train.batch_size")
} | {"dropout_rate", "dropout_kind", "bn_momentum"}
"""Factors that make no difference before the first step: metrics of the start are taken without dropout, and by batch
statistics."""


def check_sides(hypothesis: Hypothesis, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
    """What is wrong with the cells of each side, as the exclusions leave them: those in `sides`, none of them empty."""
    for one, other in itertools.combinations(sides, 2):
        if SIGNS[one] != SIGNS[other]:
            yield from _shared(hypothesis, one, other, sides)
    if hypothesis.metric.endswith("_start"):
        yield from _untrained(hypothesis, sides)
    chosen = hypothesis.select.axis if hypothesis.select else ""
    if chosen and all(len(networks_in(cells, chosen)) == len(cells) for cells in sides.values()):
        yield Problem(
            f"{hypothesis.where}.select.axis",
            f"is {chosen!r}, but the exclusions leave every network one level of it: there is nothing to choose",
        )
    yield from hypothesis.check_cells(sides)


def _shared(hypothesis: Hypothesis, one: str, other: str, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
    """A problem where two sides, one of which is subtracted from the other, have cells in common."""
    there = {tuple(cell.values()) for cell in sides[one]}
    shared = [cell for cell in sides[other] if tuple(cell.values()) in there]
    if not shared:
        return
    named = [" and ".join(f"{axis} {level}" for axis, level in cell.items()) or "the only one" for cell in shared]
    more = f"; and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    n = "a cell" if len(shared) == 1 else f"{len(shared):,} cells"
    yield Problem(
        f"{hypothesis.where}.{other}",
        f"shares {n} with {one} ({'; '.join(named[:MOST_NAMED])}{more}), which it is compared with: what both hold "
        f"is compared with itself; {_apart(hypothesis, one, other, sides)}",
    )


def _untrained(hypothesis: Hypothesis, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
    """Problems of a hypothesis about the start of training that turns on what only acts in training."""
    where, said = (
        hypothesis.where,
        f"{hypothesis.metric!r} is measured before the first step, and until then",
    )
    select = hypothesis.select
    for key, axis in (("axis", hypothesis.along), ("select.axis", select.axis if select else "")):
        if axis in UNTRAINED:
            yield Problem(
                f"{where}.{key}", f"is {axis!r}, but {said} it makes no difference; name another axis or metric"
            )
    begun = {side: {_before_training(cell) for cell in cells} for side, cells in sides.items()}
    for one, other in itertools.combinations(sides, 2):
        if SIGNS[one] != SIGNS[other] and begun[one] & begun[other]:
            cells, taken = [*sides[one], *sides[other]], begun[one] & begun[other]
            alike = [cell for cell in cells if _before_training(cell) in taken]
            axes = [axis for axis in UNTRAINED if len({cell[axis] for cell in alike if axis in cell}) > 1]
            if axes:  # else they share cells, which is said already
                yield Problem(
                    f"{where}.{other}",
                    f"differs from {one} in {' and '.join(sorted(axes))} alone, but {said} that makes no difference: "
                    "they are the same networks; compare others, or another metric",
                )


def _before_training(cell: Levels) -> tuple[Any, ...]:
    return tuple(level for axis, level in cell.items() if axis not in UNTRAINED)


def _apart(hypothesis: Hypothesis, one: str, other: str, sides: Mapping[str, Sequence[Levels]]) -> str:
    """How the wider of two sides can leave out what it shares with the other."""
    for narrow, wide in ((one, other), (other, one)):
        for axis in sides[one][0]:
            taken = {cell[axis] for cell in sides[narrow]}
            rest = [level for level in dict.fromkeys(cell[axis] for cell in sides[wide]) if level not in taken]
            if rest and None not in rest:
                rule = hypothesis.sides[wide] | {axis: rest if len(rest) > 1 else rest[0]}
                said = ", ".join(f"{name} = {json.dumps(level)}" for name, level in rule.items())
                return f"leave it out of {wide}, as {wide} = {{ {said} }}"
    return f"name other cells in {one} or {other}"
