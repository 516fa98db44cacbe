"""Random lanes of finished results, trained once more and held to what is stored: the check of a reviewer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.plan import make_plan, restrict
from bn_ablate.study import Strategy, run

if TYPE_CHECKING:
    import polars as pl

TOLERANCE = {"final_test_accuracy": 0.02, "final_train_accuracy": 0.02}
"""How far accuracies may lie from the stored ones where a machine computes otherwise: float32 rounds differently, and
training enlarges that."""


class Again(NamedTuple):
    """One lane, trained once more.

    Attributes:
        levels: its levels and its `seed`.
        numbers: how many were compared, over all tables.
        differences: those columns of `bn_ablate.results.compare` that differ; empty where all is the same to the bit.
        shift: by accuracy, how far it lies from the stored one.
    """

    levels: dict[str, Any]
    numbers: int
    differences: pl.DataFrame
    shift: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether the accuracies are those stored, within `TOLERANCE`."""
        return all(abs(by) <= TOLERANCE[name] for name, by in self.shift.items())


def verify_lanes(
    folder: str | Path,
    n: int,
    *,
    draw: int | None = None,
    data_dir: Path | None = None,
    on_lane: Callable[[Again], None] | None = None,
) -> list[Again]:
    """Train `n` lanes of the results in `folder`, drawn at random, once more, and compare every number of them.

    Lanes are trained by the strategy that is stored, in programs of the whole study's, and with nothing of what is
    stored; the same machine gives the same numbers to the bit. `draw` makes the choice repeatable. Nothing is written
    into `folder`.

    Raises:
        ResultsError: `folder` holds no results, or no lane of the study.
        DataError: the data set is not there.
    """
    import polars as pl

    from bn_ablate.results import ResultsError, compare, open_results

    stored = open_results(folder)
    plan = make_plan(stored.study)
    there = set(stored.lanes["lane_id"])
    lanes = [lane for lane in plan.lanes if lane.id in there]
    if not lanes:
        raise ResultsError(f"{folder}: holds no lane of its study; `bn-ablate run` trains them")
    strategy: Strategy = stored.manifest.get("strategy", "auto")
    found = []
    for lane in random.Random(draw).sample(lanes, min(n, len(lanes))):
        levels = lane.cell.levels | {"seed": lane.seed}
        with TemporaryDirectory() as place:
            again = run(restrict(plan, levels), place, strategy=strategy, data_dir=data_dir)
            differences = compare(stored, again)
            if differences is None:
                raise ResultsError(f"{folder}: the lane {lane.id} could not be trained again")
            old = stored.lanes.filter(lane_id=lane.id)
            shift = {name: float(again.lanes[name][0] - old[name][0]) for name in TOLERANCE}
        numbers = int(differences["values"].sum())
        found.append(Again(levels, numbers, differences.filter(pl.col("differing") > 0), shift))
        if on_lane:
            on_lane(found[-1])
    return found
