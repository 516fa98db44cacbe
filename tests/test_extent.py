"""What a run takes is said before it runs: shards as they are cut, disk at least what it is, time as it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.plan import make_plan
from bn_ablate.plan.disk import disk_bytes
from bn_ablate.plan.memory import Machine, count_shards
from bn_ablate.runs.layout import Asked, Layout
from bn_ablate.runs.trial import extrapolated, time_plan
from tests.cli.command_line import TINY

STUDY = {"name": "x", "seeds": 5, "axes": {"placement": ["none", "pre"], "depth": [1, 2], "learning_rate": [0.1, 0.2]}}


@pytest.mark.parametrize("budget", [2**28, 700 * 2**20, 2**30, 2**34])
@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_shards_are_as_many_as_are_cut(strategy: str, budget: int) -> None:
    plan, extent = make_plan(bn.build_study(STUDY)), load("digits").extent
    machine = Machine(strategy, 2, budget)  # type: ignore[arg-type]
    assert count_shards(plan, machine, extent) == len(Layout(machine).shards(plan, frozenset(), extent))


def test_results_take_no_more_disk_and_a_trial_says_how_long(tmp_path: Path) -> None:
    """The trial is as long as the study, whose time it then is."""
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    study = bn.load_study(file)
    done, extent = bn.run(study, tmp_path), load("digits").extent
    taken = sum(file.stat().st_size for file in done.path.rglob("*") if file.is_file())
    assert taken < disk_bytes(make_plan(study), 1, extent) < 100 * taken
    times = time_plan(make_plan(study), Asked(), seconds=1e9)
    assert 0 < times.train < 60
    assert time_plan(make_plan(study), Asked(), seconds=0.0).train > 0


def test_time_is_that_of_steps_and_of_measurements() -> None:
    """Ten steps a second, and two seconds for a measurement, of which the trial meets a second one."""
    seen = [(10, 3.0), (20, 4.0), (40, 6.0), (60, 10.0), (80, 12.0)]
    assert extrapolated(seen, steps=1000, measurements=5) == pytest.approx(100 + 5 * 2)
    assert extrapolated(seen[:1], steps=1000, measurements=5) == pytest.approx(300)
