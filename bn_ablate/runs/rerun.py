"""Lanes of a study, trained once more and held to what is stored: chosen ones, or random ones as a reviewer would."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config import Study
from bn_ablate.config.given import place, whole_number
from bn_ablate.plan import Plan, RunProgress, make_plan, restrict
from bn_ablate.runs.layout import Strategy
from bn_ablate.runs.run import plan_for, run

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.analysis.judged import JudgedResults
    from bn_ablate.data import Dataset

TOLERANCE = {"final_test_accuracy": 0.02, "final_train_accuracy": 0.02}
"""How far accuracies may lie from the stored ones where a machine computes otherwise: float32 rounds differently, and
training enlarges that."""


class Rerun(NamedTuple):
    """Lanes of a study trained once more.

    Attributes:
        results: what came of it, in a results folder of its own.
        stored: the results of the whole study; None where there are none.
        differences: how the two differ, as `bn_ablate.results.compare` says; None where no lane is in both.
        changed: what is not as it was when the stored lanes were trained (code, versions, data, device, layout); empty
            where all is.
    """

    results: JudgedResults
    stored: JudgedResults | None
    differences: pl.DataFrame | None
    changed: str = ""


def rerun(
    study: Study | Plan,
    only: Mapping[str, Any],
    results: str | Path = "results",
    *,
    strategy: Strategy = "auto",
    at_once: int | None = None,
    memory: int | None = None,
    data: Dataset | None = None,
    data_dir: Path | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
    progress: bool = True,
) -> Rerun:
    """Train some lanes of `study` anew, and hold their numbers to those that `results/<study>/` has of them.

    `only` maps an axis, or `seed`, to a level or several: `{"placement": "pre", "seed": 3}`. Nothing that is stored
    goes into it. The lanes get their programs from the whole study, and, where neither `strategy` nor `at_once` is
    given, the strategy and the layout that they were stored with, so that on the same machine with the same code their
    numbers are the same to the bit; in another way they agree as far as float32 lets training agree. The results go to
    a folder of their own beside that of the study, in place of what an earlier such call left there.

    Raises:
        ConfigError, DataError, ResultsError: as `run` does.
    """
    from bn_ablate.results import ResultsError, Store, compare, locked
    from bn_ablate.results.origins import changes
    from bn_ablate.runs.opened import open_results

    whole, results = plan_for(study, data, data_dir), place(results)
    part = restrict(whole, only)
    folder = results / part.study.name
    if (folder / "manifest.json").is_file():
        if open_results(folder).manifest.get("part_of") != whole.study.name:
            raise ResultsError(f"{folder}: is there already, and is a study of its own; choose another --results")
        with locked(folder):
            Store(folder).clear()
    stored = results / whole.study.name
    before = Store(stored)
    as_asked = strategy != "auto" or at_once is not None
    again = run(
        part,
        results,
        strategy=strategy,
        at_once=at_once,
        memory=memory,
        data=data,
        data_dir=data_dir,
        on_progress=on_progress,
        progress=progress,
        like=() if as_asked else list(before.usable(part).values()),
    )
    if not (stored / "manifest.json").is_file():
        return Rerun(again, None, None)
    changed = changes(before.usable(part), Store(again.path).usable(part))
    return Rerun(again, open_results(stored), compare(open_results(stored), again), changed)


class Again(NamedTuple):
    """One lane, trained once more.

    Attributes:
        levels: its levels and its `seed`.
        numbers: how many were compared, over all tables.
        differences: those columns of `bn_ablate.results.compare` that differ; empty where all is the same to the bit.
        shift: by accuracy, how far it lies from the stored one.
        changed: what is not as it was when the lane was stored; empty where all is.
    """

    levels: dict[str, Any]
    numbers: int
    differences: pl.DataFrame
    shift: dict[str, float]
    changed: str = ""

    @property
    def holds(self) -> bool:
        """Whether the accuracies are those stored, within `TOLERANCE`."""
        return all(abs(by) <= TOLERANCE[name] for name, by in self.shift.items())


def verify_lanes(
    folder: str | Path,
    n: int,
    *,
    draw: int | None = None,
    data: Dataset | None = None,
    data_dir: Path | None = None,
    on_lane: Callable[[Again], None] | None = None,
) -> list[Again]:
    """Train `n` lanes of the results in `folder`, drawn at random, once more, and compare every number of them.

    Lanes are trained by the strategy and in the layout that is stored of each, in programs of the whole study's, and
    with nothing of what is stored; the same machine and code give the same numbers to the bit. `draw` makes the choice
    repeatable. Nothing is written into `folder`.

    Raises:
        ConfigError: `n` or `draw` is no whole number.
        ResultsError: `folder` holds no results, no lane of the study, or lanes of data that are not those of now.
        DataError: the data set is not there.
    """
    import polars as pl

    from bn_ablate.results import ResultsError, Store, compare, open_results
    from bn_ablate.results.origins import changes

    n, draw = whole_number("n", n, 0), None if draw is None else whole_number("draw", draw, 0)
    stored = open_results(folder)
    plan = make_plan(stored.study)
    there = set(stored.lanes["lane_id"])
    lanes = [lane for lane in plan.lanes if lane.id in there]
    if not lanes:
        raise ResultsError(f"{folder}: holds no lane of its study; `bn-ablate run` trains them")
    before = Store(stored.path).usable(plan)
    found = []
    for lane in random.Random(draw).sample(lanes, min(n, len(lanes))):
        levels = lane.cell.levels | {"seed": lane.seed}
        with TemporaryDirectory() as place:
            part = restrict(plan, levels)
            like = [before[lane.id]] if lane.id in before else ()
            again = run(part, place, data=data, data_dir=data_dir, like=like, progress=False)
            differences = compare(stored, again)
            if differences is None:
                raise ResultsError(f"{folder}: the lane {lane.id} could not be trained again")
            old = stored.lanes.filter(lane_id=lane.id)
            shift = {name: float(again.lanes[name][0] - old[name][0]) for name in TOLERANCE}
            changed = changes(before, Store(again.path).usable(part))
        numbers = int(differences["values"].sum())
        found.append(Again(levels, numbers, differences.filter(pl.col("differing") > 0), shift, changed))
        if on_lane:
            on_lane(found[-1])
    return found
