"""What the explorer of a report is given: every lane, as it is stored, and the library it is drawn with."""

from __future__ import annotations

import gzip
import json
import shlex
from base64 import b64decode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.analysis.pages import explorer
from bn_ablate.analysis.pages.explorer import packed
from bn_ablate.config.only import check_only, parse_only
from bn_ablate.results import Results, open_results
from tests.results.made_up import STEPS, plan_of, published


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("explored") / "made-up"
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5], "activation": ["relu", "sigmoid"]}
    published(folder, plan_of(axes=axes))
    return open_results(folder)


def unpacked(text: str) -> str:
    return gzip.decompress(b64decode(text)).decode()


@pytest.fixture(scope="module")
def data(results: Results) -> dict[str, Any]:
    given = explorer.explorer(results)
    assert given is not None
    return dict(json.loads(unpacked(given["data"])))


def test_every_lane_is_there_with_its_levels_and_numbers(results: Results, data: dict[str, Any]) -> None:
    lanes = results.lanes
    for factor in data["factors"]:
        levels = results.axes.get(factor["name"], results.study.seed_list)
        assert [levels[value] for value in factor["values"]] == lanes[factor["name"]].to_list()
    metrics = {metric["name"]: metric["values"] for metric in data["metrics"]}
    assert metrics["final_test_loss"] == pytest.approx(lanes["final_test_loss"].to_list(), rel=1e-4)
    assert metrics["final_test_accuracy"] == pytest.approx((100 * lanes["final_test_accuracy"]).to_list(), rel=1e-4)
    assert not metrics.keys() & {"dropout_rate", "seed", "lane_id"}


def test_curves_are_those_of_the_lane_at_each_step(results: Results, data: dict[str, Any]) -> None:
    assert data["steps"] == list(STEPS)
    (curve,) = (curve["values"] for curve in data["curves"] if curve["name"] == "test_loss")
    for i, lane in enumerate(results.lanes["lane_id"]):
        stored = results.history.filter(lane_id=lane).sort("step")["test_loss"].to_list()
        assert curve[3 * i : 3 * i + 3] == pytest.approx(stored, rel=1e-3)


def test_many_steps_are_thinned_to_the_ends_and_some_between(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "MOST_NUMBERS", 1)
    given = explorer.explorer(results)
    assert given is not None
    assert json.loads(unpacked(given["data"]))["steps"] == [STEPS[0], STEPS[-1]]


def test_the_command_of_a_lane_picks_that_lane(results: Results, data: dict[str, Any]) -> None:
    for lane, row in enumerate(results.lanes.iter_rows(named=True)):
        only = ",".join(factor["given"][factor["values"][lane]] for factor in data["factors"])
        chosen = check_only(results.study, parse_only(shlex.split(only)))
        assert chosen == {name: (row[name],) for name in (*results.axes, "seed")}


def test_a_study_of_too_many_lanes_has_no_explorer(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "MOST_LANES", results.lanes.height - 1)
    assert explorer.explorer(results) is None


def test_the_library_is_the_published_one_with_its_licence(results: Results) -> None:
    folder = Path(str(files("bn_ablate.analysis.pages"))) / "echarts"
    source = (folder / "echarts.min.js").read_bytes()
    assert sha256(source).hexdigest() == "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0"
    assert b'version="6.1.0"' in source
    assert {file.name for file in folder.iterdir()} == {"echarts.min.js", "LICENSE", "LICENSE-d3", "NOTICE"}
    given = explorer.explorer(results)
    assert given is not None
    assert unpacked(given["library"]).encode() == source
    assert len(given["library"]) < 600_000
    assert packed("the same") == packed("the same")
