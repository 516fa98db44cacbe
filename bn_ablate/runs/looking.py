"""Looks at a study while it is trained: what each decides, and what is trained for the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.plan import Plan

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.results import Store


class LookTaken(NamedTuple):
    """What came of a look.

    Attributes:
        number: which it is, from 1 on.
        planned: the seeds of all looks.
        verdicts: hypothesis -> why it stopped, at this look or before (`decided`, `futile`, `most`); None where it goes
            on.
        lanes: how many lanes are trained for the next look; 0 where there is none.
    """

    number: int
    planned: tuple[int, ...]
    verdicts: dict[str, str | None]
    lanes: int


def look(plan: Plan, lanes: pl.DataFrame) -> tuple[LookTaken, Plan | None]:
    """What the look that `plan` was trained for says of its `lanes`, and the plan of the next one, if there is one."""
    from bn_ablate.analysis.judge.stopping import needed, stand

    study, standing = plan.study, stand(plan.study, lanes)
    following = None
    if standing.open:
        places = {place for hypothesis in standing.open for place in needed(study, hypothesis, plan.cells)}
        following = plan.reaching({plan.cells[place].settings for place in places}, study.looks[standing.look])
    verdicts = {record["id"]: record["stopped"] for record in standing.records}
    added = following.n_lanes - plan.n_lanes if following else 0
    return LookTaken(standing.look, study.looks, verdicts, added), following


def looked(plan: Plan, store: Store, on_look: Callable[[LookTaken], None]) -> tuple[Plan, bool]:
    """The plan of the last look that finished lanes allow, from that of `plan` on, and whether all is decided there.

    Raises:
        ResultsError: a shard is damaged.
    """
    while plan.study.looks and plan.reach:
        if len(store.usable(plan)) < plan.n_lanes:
            return plan, False
        taken, following = look(plan, store.lanes(plan))
        on_look(taken)
        if following is None:
            break
        plan = following
    return plan, True


def looks_of(plan: Plan) -> dict[str, Any]:
    """What a manifest says of looks: those planned, which the lanes are of, and how many cells have how many seeds."""
    planned = plan.study.looks
    if not (planned and plan.reach):
        return {}
    seeds = sorted(len(plan.seeds_of(cell)) for cell in plan.cells)
    counts = {str(n): seeds.count(n) for n in dict.fromkeys(seeds)}
    return {"looks": {"planned": list(planned), "look": planned.index(len(plan.seeds)) + 1, "cells": counts}}
