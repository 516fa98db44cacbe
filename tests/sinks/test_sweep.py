"""Sweeps: the configuration that the agent's side reads, and its command run as an agent runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.config import build_study, load_study
from bn_ablate.config.only import check_only, parse_only
from bn_ablate.plan import make_plan
from bn_ablate.results import Results, open_results
from bn_ablate.sinks import SinkError
from bn_ablate.sinks.sweep import METRIC, cell_content, sweep_config
from tests.cli.command_line import TINY, command
from tests.sinks.server import ENTITY, Run, Service


def test_every_axis_is_a_parameter_and_every_level_comes_back_as_it_was() -> None:
    axes: dict[str, Any] = {"placement": ["none", "pre"], "learning_rate": [1e-5, 0.1, 1.0], "depth": [1, 2]}
    axes |= {"n_train": [None, 100], "bn_epsilon": [1e-7, 2.5e-5]}
    study = build_study({"name": "s", "title": 'A "study": #1', "axes": axes})
    said = yaml.safe_load(sweep_config(make_plan(study), Path("my studies/s.toml"), ["--set", "train.steps=5"]))
    assert said["parameters"] == {
        axis: {"values": levels} for axis, levels in (axes | {"n_train": ["None", 100]}).items()
    }
    assert (said["method"], said["name"], said["description"]) == ("grid", "s", 'A "study": #1')
    assert said["metric"] == {"name": METRIC, "goal": "maximize"}
    assert said["command"] == [
        *("${env}", "bn-ablate", "run", "my studies/s.toml"),
        *("--set", "train.steps=5", "${args}"),
    ]
    for axis, parameter in said["parameters"].items():
        for level, word in zip(axes[axis], parameter["values"], strict=True):
            assert check_only(study, parse_only([f"{axis}={word}"])) == {axis: (level,)}


def test_a_study_that_leaves_cells_out_has_a_value_per_cell() -> None:
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    plan = make_plan(build_study({"name": "s", "axes": axes, "exclude": [{"placement": "none", "dropout_rate": 0.5}]}))
    said = yaml.safe_load(sweep_config(plan, Path("s.toml"), project="mine"))
    cells = ["placement=none,dropout_rate=0.0", "placement=pre,dropout_rate=0.0", "placement=pre,dropout_rate=0.5"]
    assert said["parameters"] == {"only": {"values": cells}}
    assert said["project"] == "mine"


def test_a_sweeps_run_shows_one_cell(results: Results) -> None:
    with pytest.raises(SinkError, match=r"shows one cell, and .* holds 4: let every axis with several levels be"):
        cell_content(results, "x")


def check_cell(run: Run, folder: Path) -> None:
    """Assert that `run` says of the one cell in `folder` what the store says, number for number and seed for seed."""
    results = open_results(folder)
    (rate,) = results.axes["learning_rate"]
    assert (run.settings["jobType"], run.settings["displayName"], run.exit_code) == ("cell", f"lr{rate}", 0)
    assert (run.config["axis/learning_rate"], run.config["train"]["learning_rate"]) == (rate, rate)
    accuracies = results.lanes["final_validation_accuracy"].to_list()
    assert run.summary[METRIC] == pytest.approx(sum(accuracies) / 2)
    assert [run.summary[f"s{seed}/final_validation_accuracy"] for seed in (0, 1)] == accuracies
    for seed, lane in results.lanes.select("seed", "lane_id").iter_rows():
        history = results.history.filter(pl.col("lane_id") == lane)
        assert [point["step"] for point in run.points] == history["step"].to_list()
        assert [point[f"s{seed}/test_loss"] for point in run.points] == history["test_loss"].to_list()


def test_the_command_run_as_an_agent_runs_it(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    config = tmp_path / "tiny.toml"
    config.write_text(TINY)
    said = yaml.safe_load(sweep_config(make_plan(load_study(config)), config, ["--results", str(tmp_path / "results")]))
    args = create_sweep_command_args({"args": {"learning_rate": {"value": 0.1}}})
    words = [word for part in said["command"] for word in (args["args"] if part == "${args}" else [part])]
    for name, value in (("SWEEP_ID", "sw"), ("RUN_ID", "trial"), ("PROJECT", "mine"), ("ENTITY", ENTITY)):
        monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    assert words[:2] == ["${env}", "bn-ablate"]
    assert cli.main(words[2:]) == 0
    assert "the sweep's run shows lr0.1: final_validation_accuracy = " in capsys.readouterr().out
    assert [*service.runs] == [("mine", "trial")]
    check_cell(service.runs["mine", "trial"], tmp_path / "results" / "tiny.learning_rate-0.1")


@pytest.mark.slow
def test_a_real_agent_goes_through_the_cells(service: Service, tmp_path: Path) -> None:
    """`wandb sweep` and `wandb agent` against the service, which hands out the cells of the grid."""
    (tmp_path / "cwd" / "tiny.toml").write_text(TINY)
    (tmp_path / "cwd" / "sweep.yaml").write_text(sweep_config(make_plan(load_study("tiny.toml")), Path("tiny.toml")))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start: dict[str, Any] = command("-m", "wandb", "sweep", "--entity", ENTITY, "sweep.yaml")
    start |= {"env": start["env"] | {"PATH": path}, "capture_output": True, "timeout": 300}
    done = subprocess.run(**start, check=False)
    assert done.returncode == 0, done.stderr
    start["args"] = [sys.executable, "-m", "wandb", "agent", f"{ENTITY}/bn_ablate/{service.SWEEP}"]
    done = subprocess.run(**start, check=False)
    assert done.returncode == 0, done.stderr
    runs = {run_id: run for (_, run_id), run in service.runs.items()}
    assert len(runs) == 2
    for run in runs.values():
        check_cell(run, tmp_path / "cwd" / "results" / f"tiny.learning_rate-{run.config['axis/learning_rate']}")
