"""Every column is defined in docs/measurements.md, and every metric of a hypothesis is a column with a label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bn_ablate.analysis.judge.metrics import metric
from bn_ablate.config import ConfigError, build_study
from bn_ablate.config.names import MEASURES, METRICS, measure_needed
from bn_ablate.results.recording.columns import (
    AFFINE,
    EVALUATED,
    LANDSCAPE,
    LANE_METRICS,
    OFF,
    PAIRED_METRICS,
    SHIFTED,
    table_schemas,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "measurements.md"


def described(table: str) -> list[str]:
    """The columns in the first cells of the tables under the heading of `table`, in the page's order."""
    (section,) = re.findall(rf"^## .*`{table}\.parquet`$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize("table", ["lanes", "history", "layers", "histograms"])
def test_the_page_defines_the_columns_that_there_are_and_no_others(table: str) -> None:
    columns = [*table_schemas()[table], *(PAIRED_METRICS if table == "lanes" else ())]
    names = described(table)
    assert sorted(names) == sorted(columns)
    assert len(set(names)) == len(names)


def test_hypotheses_may_be_about_every_metric_of_a_lane() -> None:
    assert {*METRICS} == {*LANE_METRICS, *PAIRED_METRICS} - {"best_step"}


def test_every_metric_has_a_label_of_its_own() -> None:
    labels = [metric(name).label for name in METRICS]
    assert len(set(labels)) == len(labels)
    assert not any("_" in label for label in labels)


def test_what_a_metric_needs_is_what_measures_it() -> None:
    needed = {
        "evaluations": {*EVALUATED, "recovered_train_loss", "recovered_test_loss", "recalibrated_gap"}
        | {"recalibrated_underfitting"},
        "variance_shift": {*SHIFTED, "variance_shift_max"},
        "dead": {form for name in OFF for form in (name, f"{name}_start", f"first_{name}", f"first_{name}_start")},
        "affine": {*AFFINE},
        "landscape": {*LANDSCAPE},
        "percentiles": {"unit_drift"},
    }
    assert needed.keys() == {*MEASURES}
    for name in METRICS:
        assert measure_needed(name) == next((by for by, metrics in needed.items() if name in metrics), None), name


def study_about(name: str, **measure: object) -> None:
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
    hypothesis = {"id": "h", "kind": "contrast", "statement": "s", "metric": name, **sides}
    axes = {"placement": ["none", "pre"]}
    build_study({"name": "x", "axes": axes, "measure": measure, "hypotheses": [hypothesis]})


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("recalibrated_test_loss", "evaluations"), ("first_dead_train_start", "dead"), ("smoothness", "landscape")],
)
def test_a_hypothesis_about_what_is_not_measured_is_a_problem(name: str, remedy: str) -> None:
    telling = f"hypotheses.h.metric: '{name}' is only measured where measure.also lists '{remedy}'"
    with pytest.raises(ConfigError, match=re.escape(telling)):
        study_about(name)
    study_about(name, also=[remedy])


def test_steps_to_a_loss_need_the_loss() -> None:
    with pytest.raises(ConfigError, match=r"'steps_to_loss' needs a measure.loss_threshold"):
        study_about("steps_to_loss")
    study_about("steps_to_loss", loss_threshold=0.5)


def test_the_order_of_what_is_asked_for_does_not_matter() -> None:
    said = [build_study({"name": "x", "measure": {"also": also}}).measure for also in (["dead", "affine", "dead"], [])]
    assert said[0].also == ("dead", "affine")
    assert said[0] == build_study({"name": "x", "measure": {"also": ["affine", "dead"]}}).measure
    with pytest.raises(ConfigError, match=r"measure.also\[0\]: 'ded' is none of .*; did you mean 'dead'\?"):
        build_study({"name": "x", "measure": {"also": ["ded"]}})
