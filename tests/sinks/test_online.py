"""Online runs, by the real wandb, sent to a service on loopback that keeps what it gets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bn_ablate.results import Results, seal, verify
from bn_ablate.results.files import write_text
from bn_ablate.sinks import SinkError, publish, session, setup, transfer
from tests.results import made_up
from tests.sinks.conftest import KEY
from tests.sinks.reading import check_lane
from tests.sinks.server import ENTITY, Service


def test_every_lane_online_says_what_the_store_says(
    results: Results, service: Service, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    claim = made_up.claim("gap.pre") | {"claim": "C4", "verdict": "supported", "metric": "gap"}
    claim |= {"statement": "BN narrows the gap."}
    claim |= {"estimate": -0.25, "interval": [-0.5, -0.125], "p": 0.03125, "p_adjusted": 0.0625, "margin": 0.0}
    write_text(results.path / "claims.json", json.dumps({"study": "small", "alpha": 0.05, "hypotheses": [claim]}))
    seal(results.path)
    report = publish(results.path)

    runs = {run_id: run for (project, run_id), run in service.runs.items() if project == "bn_ablate"}
    assert set(runs) == {"small-study"} | {f"small-{lane}" for lane in results.lanes["lane_id"]}
    for lane in results.lanes.iter_rows(named=True):
        check_lane(runs[f"small-{lane['lane_id']}"], results, lane)
    study = runs["small-study"]
    assert study.summary["verdicts/gap.pre"] == "supported"
    assert study.config["config_sha256"] == results.manifest["config_sha256"]

    tables = {
        artifact.name: json.loads(_table(artifact.files))
        for artifact in service.artifacts
        if artifact.type == "run_table"
    }
    cells, verdicts = tables["run-small-study-cells"], tables["run-small-study-verdicts"]
    column = cells["columns"].index("gap")
    means = results.lanes.filter(status="ok").group_by("dropout_rate", "placement", maintain_order=True)
    assert [row[column] for row in cells["data"]] == pytest.approx(means.agg(pl.mean("gap"))["gap"].to_list())
    said = dict(zip(verdicts["columns"], verdicts["data"][0], strict=True))
    assert (said["statement"], said["reason"]) == ("BN narrows the gap.", "words")
    assert (said["estimate"], said["low"], said["high"], said["p_adjusted"]) == (-0.25, -0.5, -0.125, 0.0625)

    assert all(artifact.committed for artifact in service.artifacts)
    (folder,) = (artifact for artifact in service.artifacts if artifact.name == "small-results")
    manifest = json.loads((results.path / "manifest.json").read_text())
    assert folder.files.keys() == {"wandb_manifest.json", "manifest.json", *manifest["files"]}
    for name in folder.files.keys() - {"wandb_manifest.json"}:
        assert folder.files[name] == (results.path / name).read_bytes()
    assert folder.metadata == {key: value for key, value in manifest.items() if key != "files"}

    assert (report.mode, report.lanes, report.study_run, report.directory) == ("online", 8, True, None)
    assert report.url == f"{service.url}/{ENTITY}/bn_ablate/runs/small-study"
    assert report.url in report.message
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "cwd").iterdir()) == []
    assert [file.name for file in (results.path / "wandb").iterdir()] == ["sent.json"]
    assert verify(results.path) == []
    assert not _files_with_the_key(tmp_path)


def test_a_second_sync_doubles_nothing_even_without_its_record(results: Results, service: Service) -> None:
    sent = partial(publish, results.path, "online", project="mine", entity=ENTITY, only={"seed": 0})
    sent()
    first = _shown(service)
    versions = len(service.artifacts)

    service.requests.clear()
    again = sent()
    assert (again.lanes, again.unchanged, again.study_run) == (0, 4, False)
    assert service.requests.count("RunResumeStatus") == 1
    assert _shown(service) == first

    (results.path / "wandb" / "sent.json").unlink()
    half = service.runs["mine", f"small-{results.lanes['lane_id'][2]}"]
    half.history[1:], half.summary = [], {"_step": 0}
    assert sent().lanes == 4
    assert _shown(service) == first
    assert len(service.artifacts) == versions

    elsewhere = publish(results.path, "online", project="another", lanes=False)
    assert (elsewhere.lanes, elsewhere.study_run) == (0, True)
    assert {project for project, _ in service.runs} == {"mine", "another"}


def test_a_sync_that_broke_off_is_resumed(results: Results, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (session, transfer):
        monkeypatch.setattr(module, "RUNS_AT_ONCE", 1)
    lost = f"small-{results.lanes['lane_id'][5]}"
    service.fault = lambda name: 403 if name == "file_stream" and ("cut", lost) in service.runs else None
    with pytest.raises(SinkError, match="Fatal error while uploading") as error:
        publish(results.path, "online", project="cut")
    assert f"`bn-ablate sync {results.path}` sends the rest" in str(error.value)

    service.fault = lambda name: None
    rest = publish(results.path, "online", project="cut")
    assert 0 < rest.lanes < 8
    assert rest.lanes + rest.unchanged == 8
    assert {run_id for _, run_id in service.runs} > {f"small-{lane}" for lane in results.lanes["lane_id"]}
    for lane in results.lanes.iter_rows(named=True):
        check_lane(service.runs["cut", f"small-{lane['lane_id']}"], results, lane)


@pytest.mark.parametrize("status", [401, pytest.param(500, marks=pytest.mark.slow)])
def test_a_service_that_refuses_is_an_error_that_says_what_to_do(
    results: Results, service: Service, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(setup, "INIT_TIMEOUT", 2.0)
    before = {file: file.read_bytes() for file in results.path.rglob("*") if file.is_file()}
    service.fault = lambda name: status
    with pytest.raises(SinkError, match=rf"\b{status}\b|deadline") as error:
        publish(results.path)
    said = str(error.value)
    assert f"the results are in {results.path}, and `bn-ablate sync {results.path}` sends the rest" in said
    assert ("wandb login --relogin" in said) == (status == 401)
    assert KEY not in said
    assert {file: file.read_bytes() for file in results.path.rglob("*") if file.is_file()} == before
    assert not _files_with_the_key(tmp_path)

    import wandb

    assert wandb.run is None
    service.fault = lambda name: None
    assert publish(results.path, only={"seed": 0}).lanes == 4


def test_a_service_that_stops_answering_does_not_hold_the_caller(
    results: Results, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "FINISH_TIMEOUT", 2.0)
    service.fault = lambda name: 500 if name == "upload" else None
    with pytest.raises(SinkError, match="Timed out finishing run"):
        publish(results.path)
    service.fault = lambda name: None
    assert publish(results.path, only={"seed": 0}).lanes == 4


def test_a_wandb_service_that_dies_is_an_error_and_the_next_call_starts_another(
    results: Results, service: Service
) -> None:
    def kill(done: int, of: int) -> None:
        if done == 2:
            for process in _children("wandb-core"):
                os.kill(process, signal.SIGKILL)

    with pytest.raises(SinkError, match="Nothing is lost"):
        publish(results.path, progress=kill)
    rest = publish(results.path)
    assert rest.lanes + rest.unchanged == 8
    assert len(service.runs) == 9
    assert all(len(run.history) == 3 for (_, run_id), run in service.runs.items() if run_id != "small-study")


def test_a_key_in_netrc_is_enough_and_a_malformed_one_is_an_error(
    results: Results, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "too-short")
    with pytest.raises(SinkError, match=r"API key must have 40\+ characters"):
        publish(results.path)
    monkeypatch.delenv("WANDB_API_KEY")
    host = service.url.removeprefix("http://")
    (tmp_path / "home" / ".netrc").write_text(f"machine {host}\n login user\n password {KEY}\n")
    assert publish(results.path, only={"placement": "pre"}).lanes == 4


def test_a_run_that_the_caller_has_open_online_gets_no_part_of_the_study(
    results: Results, service: Service, tmp_path: Path
) -> None:
    import wandb

    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    own = wandb.init(project="own", id="mine", name="mine", notes="", tags=["mine"], dir=tmp_path, settings=settings)
    own.log({"x": 1.0})
    publish(results.path, only={"seed": 0})
    own.log({"x": 2.0})
    own.finish()
    assert [point["x"] for point in service.runs["own", "mine"].points] == [1.0, 2.0]
    assert len([run_id for project, run_id in service.runs if project == "bn_ablate"]) == 5


def _table(files: dict[str, bytes]) -> bytes:
    (name,) = (name for name in files if name.endswith(".table.json"))
    return files[name]


def _shown(service: Service) -> dict[str, object]:
    """What users see of every run: a table or a picture is what is in it, wherever it lies."""
    return {
        run_id: (
            run.settings["displayName"],
            {key: value for key, value in run.config.items() if key != "_wandb"},
            run.points,
            {key: _content(value) for key, value in run.summary.items() if not key.startswith("_")},
        )
        for (_, run_id), run in service.runs.items()
    }


def _content(value: Any) -> Any:
    return value["sha256"] if isinstance(value, dict) and "_type" in value else value


def _children(name: str) -> list[int]:
    """The ids of this process's child processes called `name`."""
    found = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "pid=,comm="], check=True, capture_output=True, text=True, timeout=10
    )
    return [int(line.split()[0]) for line in found.stdout.splitlines() if line.split()[1] == name]


def _files_with_the_key(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
