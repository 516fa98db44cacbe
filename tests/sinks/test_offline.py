"""Offline runs, by the real wandb, read back by the real wandb."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bn_ablate.analysis import write_claims
from bn_ablate.config import ConfigError
from bn_ablate.results import Results, open_results, verify
from bn_ablate.sinks import SinkError, publish
from tests.cli.command_line import TINY
from tests.sinks.conftest import STUDY
from tests.sinks.reading import check_lane, offline_folders, read_offline
from tests.sinks.server import Service
from tests.synthetic import write_results


def test_every_lane_offline_says_what_the_store_says(results: Results, service: Service, tmp_path: Path) -> None:
    progress: list[tuple[int, int]] = []
    report = publish(results.path, "offline", progress=lambda done, of: progress.append((done, of)))

    runs = {run.settings["name"]: run for run in map(read_offline, offline_folders(results))}
    assert set(runs) == {"small-study"} | {f"small-{lane}" for lane in results.lanes["lane_id"]}
    for lane in results.lanes.iter_rows(named=True):
        check_lane(runs[f"small-{lane['lane_id']}"], results, lane)
    assert results.lanes["status"].to_list().count("diverged") == 1

    study = runs["small-study"]
    assert (study.settings["jobType"], study.settings["displayName"]) == ("study", "small")
    assert study.config["config_sha256"] == results.manifest["config_sha256"]
    assert study.summary["cells"]["nrows"] == 4
    assert (study.summary["lanes/finished"], study.summary["lanes/diverged"]) == (8, 1)

    assert (report.mode, report.lanes, report.unchanged, report.study_run) == ("offline", 8, 0, True)
    assert report.directory == results.path / "wandb"
    assert f"bn-ablate sync {results.path}" in report.message
    assert progress == [(done, 9) for done in range(1, 10)]
    assert service.requests == []
    assert list((tmp_path / "cwd").iterdir()) == []
    assert verify(results.path) == []


def test_a_second_call_writes_nothing_and_changed_lanes_replace_their_runs(results: Results) -> None:
    publish(results.path, "offline")
    before = offline_folders(results)

    again = publish(results.path, "offline")
    assert (again.lanes, again.unchanged, again.study_run) == (0, 8, False)
    assert "nothing new (9 runs unchanged)" in again.message
    assert offline_folders(results) == before

    shutil.rmtree(next(folder for folder in before if not folder.name.endswith("study")))
    assert publish(results.path, "offline").lanes == 1

    file = results.path / "lanes.parquet"
    lanes = pl.read_parquet(file)
    changed = lanes["lane_id"][3]
    is_it = pl.col("lane_id") == changed
    lanes.with_columns(gap=pl.when(is_it).then(9.5).otherwise("gap")).write_parquet(file)
    manifest = json.loads((results.path / "manifest.json").read_text())
    del manifest["files"]
    (results.path / "manifest.json").write_text(json.dumps(manifest))
    assert publish(results.path, "offline").lanes == 1
    (folder,) = (folder for folder in offline_folders(results) if folder.name.endswith(changed))
    assert read_offline(folder).summary["gap"] == 9.5
    assert len(offline_folders(results)) == 9


def test_what_an_interrupted_call_left_is_replaced(results: Results) -> None:
    lane = results.lanes["lane_id"][0]
    half = results.path / "wandb" / f"offline-run-20260101_000000-small-{lane}"
    half.mkdir(parents=True)
    (results.path / "wandb" / "sent.json").write_text('{"offline /bn_ablate": {"small-')

    def stop(done: int, of: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(results.path, "offline", progress=stop)
    kept = set(offline_folders(results))
    publish(results.path, "offline")
    names = [folder.name.split("-", 3)[3] for folder in offline_folders(results)]
    assert sorted(names) == sorted({*names})
    assert len(names) == 9
    assert not half.exists()
    assert len(kept & set(offline_folders(results))) >= 4


def test_without_a_key_auto_writes_the_study_run_alone_and_asks_nothing_on_a_terminal(
    results: Results, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    write_claims(results)
    (results.path / "figures").mkdir()
    _write_picture(results.path / "figures" / "gap.png")
    (results.path / "report.html").write_text("<h1>Report</h1>")
    code = f"from bn_ablate.sinks import publish; print(publish({str(results.path)!r}).message)"
    printed = _python(code)
    assert "wandb login" in printed
    assert f"bn-ablate sync {results.path}" in printed
    assert service.requests == []

    (folder,) = offline_folders(results)
    study = read_offline(folder)
    (claim,) = open_results(results.path).claims
    assert study.summary["verdicts/gap.pre"] == claim["verdict"]
    assert study.summary["verdicts"]["nrows"] == 1
    assert study.summary["figures/gap"]["_type"] == "image-file"
    assert (folder / "files" / study.summary["report"]["path"]).read_text() == "<h1>Report</h1>"
    assert (folder / "files" / study.summary["figures/gap"]["path"]).is_file()


def test_auto_follows_wandb_mode_and_the_settings_file(
    results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home" / "config").mkdir()
    (tmp_path / "home" / "config" / "settings").write_text("[default]\nmode = disabled\n")
    assert publish(results.path).mode == "disabled"
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    assert publish(results.path, only={"placement": "pre", "seed": [1]}).lanes == 2
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(SinkError, match=r"WANDB_MODE: 'ofline' is none of .*; did you mean 'offline'\?"):
        publish(results.path)
    assert publish(results.path, "offline", lanes=False).lanes == 0


def test_arguments_that_cannot_be_used_are_named(results: Results) -> None:
    for given, said in (
        ({"mode": "onlin"}, "did you mean 'online'"),
        ({"only": {"placment": "pre"}}, "did you mean 'placement'"),
        ({"only": {"placement": ["pre", "past"]}}, "placement: 'past' is none of none, pre"),
        ({"mode": "online"}, "there is no API key: run `wandb login`"),
    ):
        with pytest.raises((SinkError, ConfigError), match=said):
            publish(results.path, **given)
    assert not (results.path / "wandb").exists()
    (results.path / "wandb").write_text("in the way")
    with pytest.raises(SinkError, match="Nothing is lost"):
        publish(results.path, "offline")


def test_a_sweep_does_not_swallow_the_lanes(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    with pytest.raises(SinkError, match="unset WANDB_SWEEP_ID"):
        publish(results.path, "offline")
    assert not (results.path / "wandb").exists()


def test_disabled_imports_no_wandb_and_touches_nothing(results: Results) -> None:
    code = (
        "import sys, bn_ablate.sinks as sinks\n"
        f"for mode in ('disabled', 'auto'): assert sinks.publish({str(results.path)!r}, mode).mode == 'disabled'\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'wandb']"
    )
    _python(code, WANDB_MODE="disabled")
    assert not (results.path / "wandb").exists()


@pytest.mark.slow
def test_a_study_run_with_wandb_disabled_never_imports_wandb(service: Service, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    words = ["run", f"{tmp_path}/tiny.toml", "--results", str(tmp_path / "results"), "--wandb", "disabled"]
    _python(
        f"import sys; from bn_ablate.cli.main import main; assert main({words!r}) == 0\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'wandb']"
    )
    assert verify(tmp_path / "results" / "tiny") == []
    assert service.requests == []


def test_a_run_that_the_caller_has_open_is_left_alone(results: Results, tmp_path: Path) -> None:
    import wandb

    own = wandb.init(mode="offline", dir=tmp_path, project="own", settings=wandb.Settings(silent=True, console="off"))
    own.log({"x": 1.0})
    publish(results.path, "offline", only={"placement": "pre", "dropout_rate": 0.0})
    assert wandb.run is own
    own.log({"x": 2.0})
    own.finish()
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert [point["x"] for point in read_offline(folder).points] == [1.0, 2.0]
    assert len(offline_folders(results)) == 3


def test_a_study_without_axes_or_with_every_lane_diverged_can_be_written(tmp_path: Path) -> None:
    table = STUDY | {"axes": {}, "hypotheses": [], "seeds": 1, "claim": ""}
    results = write_results(tmp_path / "plain", table, diverged=lambda levels, seed: True)
    assert publish(results.path, "offline").lanes == 1
    lane = results.lanes.row(0, named=True)
    run = next(
        run for run in map(read_offline, offline_folders(results)) if run.config.get("lane_id") == lane["lane_id"]
    )
    assert run.settings["displayName"] == "base·s0"
    assert run.summary["diverged_at"] == lane["diverged_at"]
    assert "final_test_loss" not in run.summary
    assert run.summary["final_test_accuracy"] == lane["final_test_accuracy"]


def _python(code: str, **environment: str) -> str:
    """What a process of its own prints, with a terminal to ask questions on, which it may not write to."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment
    screen, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            text=True,
            timeout=60,
            env=environment,
        )
        asked, _, _ = select.select([screen], [], [], 0)
        assert not asked, os.read(screen, 10_000)
    finally:
        os.close(terminal)
        os.close(screen)
    return done.stdout


def _write_picture(file: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), "white").save(file)
