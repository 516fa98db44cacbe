"""A study may say its epochs: they are the steps of the same lanes, whatever an epoch has of examples and batches."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import bn_ablate as bn
from bn_ablate.cli.plan_shown import show_plan
from bn_ablate.config import ConfigError, build_study
from bn_ablate.data import draw_split
from bn_ablate.plan import make_plan
from bn_ablate.runs.run import plan_for, with_epochs_counted
from bn_ablate.sinks.content import settings_of

TABLE: dict[str, Any] = {"name": "x", "seeds": 1, "data": {"n_train": 300}}


def steps(table: dict[str, Any], data: bn.Dataset | None = None) -> list[int]:
    """Those of each cell."""
    return [cell.settings.train.steps for cell in plan_for(build_study(table), data).cells]


def test_epochs_are_rounded_up_to_whole_steps_cell_by_cell() -> None:
    axes = {"batch_size": [1, 64, 100], "n_train": [70, 300]}
    assert steps(TABLE | {"train": {"epochs": 2}, "axes": axes}) == [140, 600, 3, 10, 2, 6]
    assert steps(TABLE | {"train": {"epochs": 0.7, "batch_size": 7}}) == [30]
    assert steps(TABLE | {"train": {"epochs": 0.001}}) == [1]


def test_lanes_are_those_of_as_many_steps() -> None:
    said = make_plan(build_study(TABLE | {"train": {"epochs": 4}}))
    counted = make_plan(build_study(TABLE | {"train": {"steps": 19}}))
    assert [lane.id for lane in said.lanes] == [lane.id for lane in counted.lanes]
    assert said.study.train.length == "4 epochs"
    assert settings_of(said.study, {})["train"]["steps"] == 19


def test_a_study_that_is_stored_is_read_back() -> None:
    study = build_study(TABLE | {"train": {"epochs": 4}})
    assert "steps" not in study.model_dump()["train"]
    assert build_study(json.loads(study.model_dump_json())) == study


@pytest.mark.parametrize(
    ("data", "n_train"),
    [
        ({}, 51),
        ({"n_validation": 10, "n_test": 25}, 40),
        ({"split": "official"}, 50),
        ({"split": "official", "n_validation": 20}, 40),
    ],
)
def test_the_data_say_how_many_examples_are_left(data: dict[str, Any], n_train: int) -> None:
    """75 examples, of which 60 are the data set's own training examples."""
    labels = np.arange(75) % 3
    made = bn.Dataset.from_arrays(np.zeros((60, 4)), labels[:60], x_test=np.zeros((15, 4)), y_test=labels[60:])
    table = {"name": "x", "data": data, "train": {"epochs": 3, "batch_size": 1}}
    with pytest.raises(ConfigError, match=r"train.epochs: = 3 counts training examples, and data.n_train does not say"):
        make_plan(build_study(table))
    assert steps(table, made) == [3 * n_train]
    assert with_epochs_counted(build_study(table), made).data.n_train == n_train
    assert draw_split(made, build_study(table).data, 0).train.size == n_train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"epochs": 3, "steps": 400}}, r"train: steps = 400 and epochs = 3: one of the two says how long"),
        ({"train": {"epochs": 3}, "axes": {"steps": [9, 10]}}, r"axes.steps\[0\]: steps = 9 and epochs = 3"),
        ({"train": {"epochs": 0}}, "train.epochs: is 0: input should be greater than 0"),
        ({"train": {"epochs": 2, "warmup_steps": 10}}, "train.warmup_steps: = 10 leaves no step of 10"),
    ],
)
def test_what_cannot_be_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(build_study(TABLE | changes))


def test_what_is_said_last_counts() -> None:
    assert build_study(TABLE | {"train": {"epochs": 3}}, ["train.steps=7"]).train.length == "7 steps"
    assert build_study(TABLE | {"train": {"steps": 7}}, ["train.epochs=1"]).train.length == "1 epoch"


def test_the_plan_says_the_steps() -> None:
    axes = {"batch_size": [64, 100], "activation": ["relu", "tanh"]}
    shown = Console(file=io.StringIO(), width=200)
    show_plan(shown, make_plan(build_study(TABLE | {"train": {"epochs": 2}, "axes": axes})), 0)
    assert isinstance(shown.file, io.StringIO)
    assert "4 lanes, 6 or 10 steps each" in shown.file.getvalue()
