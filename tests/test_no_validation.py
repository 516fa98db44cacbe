"""Without validation examples nothing is chosen by them: what would be is refused or null, and all else is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate.analysis import write_report
from bn_ablate.analysis.judge.selection import tuned
from bn_ablate.config import ConfigError, build_study
from bn_ablate.plan import make_plan
from bn_ablate.results import verify
from bn_ablate.sinks.sweep import sweep_config

TABLE: dict[str, Any] = {
    "name": "unselected",
    "seeds": 2,
    "data": {"n_train": 60, "n_validation": 0, "n_test": 100, "standardize": "unit"},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 4, "batch_size": 16},
    "measure": {"every": 2, "also": ["evaluations"], "examples": 50, "keep": "final"},
    "axes": {"learning_rate": [0.01, 0.1]},
}
CONTRAST = {"id": "h", "kind": "contrast", "statement": "s", "a": {"learning_rate": 0.1}, "b": {"learning_rate": 0.01}}


@pytest.mark.usefixtures("draw_little")
def test_what_is_measured_on_validation_is_null_and_nothing_else(tmp_path: Path) -> None:
    done = bn.run(build_study(TABLE | {"hypotheses": [CONTRAST | {"metric": "final_test_loss"}]}), tmp_path)
    assert done.manifest["data"]["sizes"] == {"train": 60, "validation": 0, "test": 100}
    for table in (done.lanes, done.history):
        measured = [name for name in table.columns if name.endswith(("_loss", "_accuracy")) and name != "batch_loss"]
        null = {name for name in measured if table[name].null_count() == table.height}
        assert null >= {name for name in measured if "validation" in name or name.startswith("best_")}
        of_parts = [name for name in measured if name.endswith(("train_loss", "test_loss", "test_accuracy"))]
        for name in set(of_parts) - null:
            assert table[name].drop_nulls().is_finite().all(), name
        assert {"final_test_loss", "recalibrated_train_loss", "test_loss"} & {*table.columns} - null
    assert done.lanes["best_step"].null_count() == done.lanes.height
    write_report(done.path)
    assert verify(done.path) == []
    held = tuned(done, done.lanes)
    assert held.lanes["learning_rate"].unique().to_list() == [0.1]
    assert held.note == "Held: learning rate 0.1."
    assert done.history.filter(pl.col("step") == 0)["train_loss"].is_finite().all()
    lane = bn.load_lane(done, {"learning_rate": 0.1}, 1)
    row = done.lanes.filter(lane_id=lane.cell.lane_id(1)).row(0, named=True)
    assert lane.accuracy("test") == row["final_test_accuracy"]
    with pytest.raises(ConfigError, match="part: = validation: has no examples"):
        lane.predictions("validation")
    with pytest.raises(ConfigError, match=r"at: = best: validation loss chooses them, and data.n_validation is 0"):
        bn.load_lane(done, {"learning_rate": 0.1}, 1, at="best")


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        (
            CONTRAST | {"metric": "final_validation_loss"},
            r"metric: 'final_validation_loss' needs validation examples, and ",
        ),
        (CONTRAST | {"metric": "best_test_accuracy"}, r"metric: 'best_test_accuracy' needs validation examples"),
        (
            {"id": "h", "kind": "contrast", "statement": "s", "metric": "gap", "a": {"width": 8}, "b": {"width": 16}}
            | {"select": {"axis": "learning_rate"}},
            r"select: 'final_validation_loss' needs validation examples, and data.n_validation is 0",
        ),
    ],
)
def test_what_is_chosen_by_validation_data_is_refused(hypothesis: dict[str, Any], message: str) -> None:
    axes = {"learning_rate": [0.01, 0.1], "width": [8, 16]}
    with pytest.raises(ConfigError, match=message):
        make_plan(build_study(TABLE | {"axes": axes, "hypotheses": [hypothesis]}))


def test_there_are_no_best_weights_to_keep() -> None:
    with pytest.raises(ConfigError, match=r"measure.keep: lists the best weights: validation loss chooses them, and"):
        make_plan(build_study(TABLE, measure={"keep": ["final", "best"]}))


def test_a_sweep_has_nothing_to_look_at() -> None:
    with pytest.raises(ConfigError, match=r"data.n_validation: = 0: a sweep looks at final_validation_accuracy"):
        sweep_config(make_plan(build_study(TABLE)), Path("s.toml"))
