"""A service that is slow, overrun or breaks off: nothing is lost, it is said what to do, and a later sync completes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bn_ablate import analysis, engine
from bn_ablate.cli import main as cli
from bn_ablate.results import Results, open_results, verify
from bn_ablate.sinks import SinkError, publish, session, setup, transfer
from tests.cli.command_line import TINY
from tests.sinks.conftest import KEY, STUDY
from tests.sinks.reading import check_lane
from tests.sinks.server import BROKEN_OFF, Service
from tests.synthetic import write_results

Fault = Callable[[str], int | None]


def check_complete(service: Service, results: Results, project: str = "bn_ablate") -> None:
    """Assert that the service has every lane as the store has it, once, and the study's run and folder."""
    runs = {run_id: run for (where, run_id), run in service.runs.items() if where == project}
    assert runs.keys() >= {f"{results.name}-study", *(f"{results.name}-{lane}" for lane in results.lanes["lane_id"])}
    for lane in results.lanes.iter_rows(named=True):
        check_lane(runs[f"{results.name}-{lane['lane_id']}"], results, lane)
    assert runs[f"{results.name}-study"].summary["lanes/finished"] == results.lanes.height
    (folder,) = (artifact for artifact in service.artifacts if artifact.name == f"{results.name}-results")
    assert folder.committed


def for_a_while(status: int) -> Fault:
    """The first request, and the first streamed data, are answered with `status`; wandb waits seconds after each."""
    first = {"RunResumeStatus", "file_stream"}

    def fault(name: str) -> int | None:
        if name in first:
            first.remove(name)
            return status
        return None

    return fault


@pytest.mark.parametrize(
    "fault",
    [for_a_while(429), pytest.param(for_a_while(BROKEN_OFF), marks=pytest.mark.slow)],
    ids=["429", "broken off"],
)
def test_what_passes_is_waited_out(results: Results, service: Service, fault: Fault) -> None:
    service.fault = fault
    assert publish(results.path, "online").lanes == 8
    check_complete(service, results)


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, BROKEN_OFF], ids=["429", "broken off"])
def test_what_does_not_pass_is_reported_and_a_later_sync_completes(
    results: Results, service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    """From half-way on: when the third lane is about to be sent."""
    monkeypatch.setattr(setup, "INIT_TIMEOUT", 3.0)
    monkeypatch.setattr(setup, "FINISH_TIMEOUT", 3.0)
    for module in (session, transfer):
        monkeypatch.setattr(module, "RUNS_AT_ONCE", 1)
    third = f"small-{results.lanes['lane_id'][2]}"
    before = {file: file.read_bytes() for file in results.path.rglob("*") if file.is_file()}
    service.fault = lambda name: status if ("bn_ablate", third) in service.runs else None
    with pytest.raises(
        SinkError, match=r"Nothing is lost: the results are in .*, and `bn-ablate sync .*` sends the rest"
    ):
        publish(results.path, "online")
    assert before == {file: file.read_bytes() for file in before}
    assert verify(results.path) == []
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]

    service.fault = lambda name: None
    rest = publish(results.path, "online")
    assert (rest.lanes, rest.unchanged, rest.study_run) == (6, 2, False)
    check_complete(service, results)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 10.0], ids=["a little", "ten seconds"])
def test_a_slow_service_is_waited_for(results: Results, service: Service, seconds: float) -> None:
    """Ten seconds for every answer but those to streamed data, of which there are most."""
    service.delay = lambda name: seconds if name != "upload" else 0.0
    report = publish(results.path, "online", only={"placement": "pre", "seed": 0})
    assert (report.lanes, report.study_run) == (2, True)
    for lane in results.lanes.filter(placement="pre", seed=0).iter_rows(named=True):
        check_lane(service.runs["bn_ablate", f"small-{lane['lane_id']}"], results, lane)


def test_two_studies_in_one_process_do_not_mix(results: Results, service: Service, tmp_path: Path) -> None:
    other = write_results(tmp_path / "results" / "other", STUDY | {"name": "other", "seeds": 1})
    publish(results.path, "online", project="both")
    publish(other.path, "online", project="both")
    publish(results.path, "offline", only={"seed": 0, "placement": "pre"})
    assert publish(other.path, "online", project="both").unchanged == 4
    assert len(service.runs) == 9 + 5
    check_complete(service, results, "both")
    check_complete(service, other, "both")


def test_a_study_finishes_whatever_the_service_does(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command line with `--wandb online`: refused, then in order; a stream while it trains, the rest afterwards."""
    config, results = tmp_path / "tiny.toml", tmp_path / "results"
    config.write_text(TINY)
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    monkeypatch.setattr(analysis, "write_report", lambda path: [])
    args: list[Any] = ["run", str(config), "--results", str(results), "--wandb", "online"]

    service.fault = lambda name: 401
    assert cli.main(args) == 1
    said = capfd.readouterr()
    assert "no progress was streamed" in said.out
    assert f"`bn-ablate sync {results / 'tiny'}` sends the rest" in said.err.replace("\n", " ")
    both = said.out + said.err
    assert both.count("bn-ablate sync") == both.count(f"bn-ablate sync {results / 'tiny'}") == 1
    assert both.count("Failed to get resume status") == 1
    assert KEY not in both
    assert verify(results / "tiny") == []
    assert service.runs == {}

    service.fault = lambda name: None
    assert cli.main(["sync", str(results / "tiny"), "--only", "seed=1"]) == 0
    assert len(service.runs) == 1 + 2
    assert cli.main(["sync", str(results / "tiny")]) == 0
    check_tiny(service, open_results(results / "tiny"))


@pytest.mark.slow
def test_a_study_is_streamed_while_it_trains(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    results = tmp_path / "results"
    assert cli.main(["run", str(tmp_path / "tiny.toml"), "--results", str(results), "--wandb", "online"]) == 0
    assert "no progress was streamed" not in capfd.readouterr().out
    run = service.runs["bn_ablate", "tiny-study"]
    assert any("live/lane_steps" in point for point in run.history)
    assert any(key.startswith("live/loss/lr") for point in run.history for key in point)
    assert run.summary["status"] == "complete"
    check_tiny(service, open_results(results / "tiny"))


def check_tiny(service: Service, results: Results) -> None:
    for lane in results.lanes.iter_rows(named=True):
        run = service.runs["bn_ablate", f"{results.name}-{lane['lane_id']}"]
        assert run.summary["final_test_loss"] == lane["final_test_loss"]
        assert len(run.points) == 3
