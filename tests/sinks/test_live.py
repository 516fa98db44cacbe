"""A study's run while it trains, by the real wandb, and what happens to training when W&B does not play along."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bn_ablate.plan import Plan, RunProgress, make_plan
from bn_ablate.results import Results
from bn_ablate.sinks import Live, live, publish
from tests.sinks.conftest import KEY
from tests.sinks.server import Service


@pytest.fixture
def plan(results: Results) -> Plan:
    return make_plan(results.study)


def standings(plan: Plan, n: int) -> Iterator[RunProgress]:
    """Where a run stands, a second apart; the first cell of the second seed diverges."""
    for i in range(1, n + 1):
        loss = np.full((2, len(plan.cells)), 4.0 / i) + np.arange(len(plan.cells))
        loss[1, 0] = np.nan
        yield RunProgress(i, 8, 100 * i, 100 * n, float(i), 1, plan.cells, loss)


def test_progress_is_streamed_and_the_finished_study_goes_on_with_the_same_run(
    results: Results, service: Service, plan: Plan, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Live(plan, results.path) as stream:
        for standing in standings(plan, 5):
            stream(standing)
    assert stream.message == ""
    run = service.runs["bn_ablate", "small-study"]
    assert (run.exit_code, run.settings["jobType"], run.summary["status"]) == (0, "study", "running")
    assert [point["live/lane_steps"] for point in run.points] == [100, 200, 300, 400, 500]
    assert run.points[1] == {
        "live/lane_steps": 200,
        "live/progress": 0.4,
        "live/lanes_finished": 2,
        "live/lanes_diverged": 1,
        "live/lane_steps_per_second": 100.0,
        "live/loss/none·p0.0": 2.0,
        "live/loss/pre·p0.0": 3.0,
        "live/loss/none·p0.5": 4.0,
        "live/loss/pre·p0.5": 5.0,
    }

    publish(results.path, "online", lanes=False)
    assert len(service.runs) == 1
    run = service.runs["bn_ablate", "small-study"]
    assert [point.get("live/lane_steps") for point in run.points][:5] == [100, 200, 300, 400, 500]
    assert run.summary["status"] == "complete"
    assert run.summary["cells"]["nrows"] == 4
    assert run.config["config_sha256"] == results.manifest["config_sha256"]
    assert run.config["device"]["kind"] == "cpu"
    once = len(run.points)
    publish(results.path, "online", lanes=False)
    assert len(run.points) == once
    assert capfd.readouterr() == ("", "")
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def copying(to: Path) -> list[str]:
    """A command that keeps what it is sent in the file `to`."""
    return [sys.executable, "-c", f"import sys; open({str(to)!r}, 'w').write(sys.stdin.read())"]


def test_training_that_fails_is_seen_to_have_failed(
    results: Results, service: Service, plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What would be sent to a process of its own is sent to its `main` here."""
    monkeypatch.setattr(live, "COMMAND", copying(tmp_path / "points"))
    with pytest.raises(KeyboardInterrupt), Live(plan, results.path) as stream:
        stream(next(standings(plan, 1)))
        raise KeyboardInterrupt
    assert stream.message == ""
    with (tmp_path / "points").open() as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        assert live.main() == 0
    run = service.runs["bn_ablate", "small-study"]
    assert run.exit_code == 1
    assert len(run.points) == 1


def test_a_service_that_refuses_costs_the_stream_and_nothing_else(
    results: Results, service: Service, plan: Plan
) -> None:
    service.fault = lambda name: 401
    with Live(plan, results.path) as stream:
        for standing in standings(plan, 200):
            stream(standing)
    assert "401" in stream.message
    assert "wandb login --relogin" in stream.message
    assert KEY not in stream.message
    service.fault = lambda name: None
    assert publish(results.path, "online", only={"seed": 0, "placement": "pre"}).lanes == 2


@pytest.mark.slow  # that a stream's error is its message, the refusal above says
def test_without_a_key_the_stream_says_what_to_do(
    results: Results, service: Service, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with Live(plan, results.path) as stream:
        pass
    assert stream.message == "there is no API key: run `wandb login` or set WANDB_API_KEY"
    assert service.requests == []


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "raise SystemExit('gone')"])
def test_a_stream_that_is_stuck_or_gone_neither_holds_nor_breaks_training(
    results: Results, plan: Plan, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(live, "COMMAND", [sys.executable, "-c", code])
    monkeypatch.setattr(live, "CLOSE_TIMEOUT", 3.0)
    told = 0
    with Live(plan, results.path) as stream:
        for standing in standings(plan, 3000):
            stream(standing)
            told += 1
    assert told == 3000
    assert stream.message == ("gone" if "gone" in code else "W&B took none of the last points within 3 s")


def test_points_come_less_and_less_often(
    results: Results, plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Ten a second for an hour."""
    copied = tmp_path / "points"
    monkeypatch.setattr(live, "COMMAND", copying(copied))
    monkeypatch.setattr(live, "QUEUED", 10**6)
    with Live(plan, results.path) as stream:
        for i in range(36_000):
            stream(RunProgress(0, 8, i, 36_000, i / 10, 0))
    header, *points, end = map(json.loads, copied.read_text().splitlines())
    assert (header["content"]["id"], end) == ("small-study", {"failed": False})
    steps: list[Any] = [point["live/lane_steps"] for point in points]
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert gaps == sorted(gaps)
    assert (gaps[0], max(gaps)) == (10, 72)
    assert 1400 < len(points) < 1600
