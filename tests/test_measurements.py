"""Each metric and measure is declared once: columns, page, names in studies, labels and needs follow from that."""

from __future__ import annotations

import re

import measurements_page
import pytest

from bn_ablate.config import ConfigError, build_study
from bn_ablate.config.metrics import APART, metrics
from bn_ablate.config.quantity import REQUESTS, TABLES, Quantity, declare, quantity
from bn_ablate.results.recording.columns import PAIRED, table_schemas


def test_the_page_is_up_to_date() -> None:
    """If not: .venv/bin/python scripts/measurements_page.py."""
    text = measurements_page.PAGE.read_text(encoding="utf-8")
    assert text == measurements_page.page(text)


@pytest.mark.parametrize("table", TABLES)
def test_the_page_defines_the_columns_that_there_are_and_no_others(table: str) -> None:
    text = measurements_page.PAGE.read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## `{table}\.parquet`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(names) == sorted([*table_schemas(APART)[table], *(PAIRED if table == "lanes" else ())])


def test_hypotheses_may_be_about_every_number_of_a_lane() -> None:
    assert len(metrics()) == 132
    assert not {"lane_id", "seed", "status", "diverged_at", "best_step"} & {*metrics()}
    assert {"final_test_loss", "underfitting", "first_dead_train_start", "variance_shift_max"} <= {*metrics()}


def test_every_metric_has_a_label_of_its_own() -> None:
    labels = [of.label for of in metrics().values()]
    assert len(set(labels)) == len(labels)
    assert all(labels)
    assert not any("_" in label for label in labels)


def test_what_is_better() -> None:
    for name, of in metrics().items():
        expected = (
            "lower" if name.endswith(("loss", "underfitting")) else "higher" if name.endswith("accuracy") else None
        )
        if name in ("trained", "reached_loss"):
            expected = "higher"
        assert of.better == (None if name.startswith("recovered") else expected), name


@pytest.mark.parametrize(
    ("name", "request_", "with_bn"),
    [
        ("final_test_loss", None, False),
        ("best_validation_accuracy", None, False),
        ("recalibrated_test_loss", "evaluations", False),
        ("batch_train_accuracy", "evaluations", False),
        ("recovered_test_loss", "evaluations", False),
        ("recalibrated_gap", "evaluations", False),
        ("recalibrated_underfitting", "evaluations", False),
        ("variance_shift_max", "variance_shift", True),
        ("first_dead_train_start", "dead", False),
        ("first_dead_start", None, False),
        ("beta_over_gamma", "affine", True),
        ("smoothness", "landscape", False),
        ("unit_drift", "percentiles", False),
        ("mean_shift", "mean_shift", True),
        ("recovered_by_mean_test_loss", "recalibrated_apart", False),
        ("first_kernel_norm", "kernels", False),
        ("train_mode_accuracy", "train_mode", False),
        ("gradient_cosine", "gradient_cosine", False),
        ("example_cosine_start", "ranks", False),
        ("gap", None, False),
    ],
)
def test_what_a_metric_needs(name: str, request_: str | None, with_bn: bool) -> None:
    settings = build_study({"name": "x"})
    lacking = [need.null for need in quantity(name).needs if need.problem and not need.holds(settings)]  # type: ignore[arg-type]
    assert lacking == ([f"without `{request_}`"] if request_ else [])
    assert any(need.by_layer for need in quantity(name).needs) == with_bn


def test_a_column_is_declared_once() -> None:
    with pytest.raises(ValueError, match="'std' is a column of layers already"):
        declare("layers", Quantity("std", "twice"))


def study_about(name: str, **measure: object) -> None:
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
    hypothesis = {"id": "h", "kind": "contrast", "statement": "s", "metric": name, **sides}
    axes = {"placement": ["none", "pre"]}
    build_study({"name": "x", "axes": axes, "measure": measure, "hypotheses": [hypothesis]})


def test_a_metric_that_is_declared_later_is_one_that_studies_may_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"hypotheses\[0\]\.metric: 'kurtosis' is none of the 132 metrics"):
        study_about("kurtosis")
    monkeypatch.setitem(TABLES, "lanes", dict(TABLES["lanes"]))
    declare("lanes", Quantity("kurtosis", "fourth moment of z", "kurtosis", better="lower"))
    study_about("kurtosis")
    with pytest.raises(ConfigError, match=r"'kurtosi' is none of the 133 metrics .*; did you mean 'kurtosis'"):
        study_about("kurtosi")


@pytest.mark.parametrize("value", [3, None, ["gap"], "", True])
def test_what_is_no_name_is_no_metric(value: object) -> None:
    with pytest.raises(ConfigError, match=r"hypotheses\[0\]\.metric: .* is none of the 132 metrics that docs/meas"):
        study_about(value)  # type: ignore[arg-type]


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
    before = ["evaluations", "variance_shift", "dead", "affine", "landscape", "percentiles"]
    assert list(REQUESTS)[:6] == before  # studies keep them in this order, and lane ids hash it


def test_tables_have_the_columns_that_some_studies_alone_ask_for_in_these_alone() -> None:
    """So that files of studies that ask for none of them are what they were."""
    plain, asked = table_schemas(), table_schemas(["affine", "kernels"])
    assert {*asked["layers"]} - {*plain["layers"]} == {"kernel_norm", "effective_rate"}
    assert asked["history"] == plain["history"]
    assert "first_kernel_norm" in asked["lanes"]
    study = build_study({"name": "x", "measure": {"also": ["kernels", "dead"]}})
    assert study.column_measures == ("kernels",)
    assert {*study.tables["layers"]} == {*table_schemas(["kernels"])["layers"]}
