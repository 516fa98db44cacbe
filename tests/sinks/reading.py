"""What W&B runs say, read back from the service or from offline files, and held against the store."""

from __future__ import annotations

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bn_ablate.results import Results
from tests.sinks.server import Run

KEYS = ("lane_id", "step", "layer")
EDGES = [-10.2 + 0.2 * i for i in range(103)]
"""Of the bins of histograms: those from -10 to 10, and one more on each side for what lies beyond."""


def offline_folders(results: Results) -> list[Path]:
    """The folders of all offline runs below a results folder."""
    return sorted((results.path / "wandb").glob("offline-run-*"))


def read_offline(folder: Path) -> Run:
    """An offline run, read by wandb's own reader; its writer may still be at it when `finish` returns."""
    (file,) = folder.glob("run-*.wandb")
    records: list[dict[str, Any]] = []
    until = time.monotonic() + 20
    while not {"run", "exit"} <= {record["type"] for record in records} and time.monotonic() < until:
        records = [json.loads(line) for line in _leet(file).splitlines()]
    said = next(record["run"] for record in records if record["type"] == "run")
    names = {"name": "run_id", "displayName": "display_name", "groupName": "run_group", "jobType": "job_type"}
    return Run(
        settings={key: said.get(names.get(key, key)) for key in (*names, "tags", "notes", "project")},
        config=said["config"]["update"],
        history=[record["history"]["item"] for record in records if record["type"] == "history"],
        summary=json.loads(_leet(file, "--summary"))["summary"],
        exit_code=next(record["exit"].get("exit_code", 0) for record in records if record["type"] == "exit"),
    )


def _leet(file: Path, *options: str) -> str:
    from wandb.util import get_core_path

    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", *options]
    command += ["--run-file", str(file), str(file.parent.parent)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def check_lane(run: Run, results: Results, lane: dict[str, Any]) -> None:
    """Assert that `run` says of the lane of row `lane` just what the store says, number for number."""
    assert [_nested(point) for point in run.points] == _points(results, lane["lane_id"])
    for metric in lane.keys() - {"lane_id", "seed", *results.axes}:
        assert run.summary.get(metric) == _finite(lane[metric]), metric
    for axis in results.axes:
        assert run.config[f"axis/{axis}"] == lane[axis]
    assert (run.config["seed"], run.config["lane_id"]) == (lane["seed"], lane["lane_id"])
    assert run.config["norm"]["placement"] == lane["placement"]
    assert run.config["dropout"]["rate"] == lane["dropout_rate"]
    assert run.config["train"]["steps"] == results.study.train.steps
    name = f"{lane['placement']}·p{lane['dropout_rate']}"
    assert run.settings["displayName"] == f"{name}·s{lane['seed']}"
    assert run.settings["groupName"] == f"{results.name} · {name}"
    assert run.settings["jobType"] == "lane"
    assert run.settings["tags"] == [results.name, "C6", "digits", "cpu"]
    assert run.exit_code == 0


def _points(results: Results, lane: str) -> list[dict[str, Any]]:
    """The history of a lane, as the store has it, without what is not finite."""
    points = []
    for row in results.history.filter(pl.col("lane_id") == lane).iter_rows(named=True):
        point = {key: row[key] for key in row if key != "lane_id"}
        layers = results.layers.filter((pl.col("lane_id") == lane) & (pl.col("step") == row["step"]))
        for layer in layers.iter_rows(named=True):
            point |= {f"layers/{layer['layer']}/{measure}": layer[measure] for measure in layer if measure not in KEYS}
        counted = results.histograms.filter((pl.col("lane_id") == lane) & (pl.col("step") == row["step"]))
        for of in counted.iter_rows(named=True):
            shown = {"_type": "histogram", "values": of["counts"], "bins": pytest.approx(EDGES)}
            point |= {f"layers/{of['layer']}/histogram/{of['site']}": shown}
        points.append({key: value for key, value in point.items() if _finite(value) is not None})
    return points


def _nested(point: dict[str, Any]) -> dict[str, Any]:
    """A point with each histogram in one piece, as the service has it; wandb's own reader takes them apart."""
    found: dict[str, Any] = {}
    for key, value in point.items():
        name, dot, part = key.partition(".")
        if dot:
            found.setdefault(name, {})[part] = value
        else:
            found[key] = value
    return found


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
