"""Ctrl-C and SIGTERM: what is finished stays, and the same command resumes from there."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.plan.memory import estimate
from bn_ablate.results import Store, open_results, verify
from tests.cli.command_line import Bn, Done, command

STOPPED = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def check_stopped(folder: Path, status: int, err: str, signum: signal.Signals) -> int:
    """Check that a stopped run has said so and left readable results; return how many lanes it had finished."""
    asked, said = err.strip().split("\n\n")
    assert asked == "stopping as soon as this stretch of training is done and stored; once more stops at once"
    assert (status, said.partition(";")[0]) == STOPPED[signum]
    assert said.endswith("; what is done is stored, and the same command resumes from there")
    left = open_results(folder)
    assert left.manifest["status"] == "interrupted"
    finished = int(left.manifest["lanes"]["finished"])
    assert left.lanes.height == finished < left.manifest["lanes"]["planned"]
    assert left.history["lane_id"].n_unique() == finished
    assert verify(folder) == ["the run is not complete: its status is 'interrupted'; `bn-ablate run` resumes it"]
    return finished


def check_completed(folder: Path, done: Done, lanes: int, new: int) -> None:
    """Check that a run has finished what was left, and nothing else."""
    assert done.status == 0
    assert "trained in" in done.out
    manifest = open_results(folder).manifest
    assert manifest["lanes"] == {"planned": lanes, "finished": lanes, "diverged": 0}
    timing = manifest["timing"]
    assert timing["lane_steps"] + timing["lane_steps_resumed"] == new * 4
    assert verify(folder) == []


@pytest.mark.slow  # tests/cli/test_signals.py stops a smaller one
def test_a_stopped_run_leaves_what_is_finished_and_goes_on(
    bn: Bn, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three shards, and a signal when the first is stored, and again when the second is."""
    add_shard = Store.add_shard
    signums = iter(STOPPED)

    def then_a_signal(store: Store, name: str, *what: Any) -> None:
        add_shard(store, name, *what)
        if signum := next(signums, None):
            signal.raise_signal(signum)

    monkeypatch.setattr(Store, "add_shard", then_a_signal)
    monkeypatch.setattr(estimate, "MOST_LANES", 4)
    rates = "axes.learning_rate=[0.01, 0.02, 0.03, 0.1, 0.2, 0.3]"
    args = ("run", config, "--results", tmp_path / "results", "--wandb", "disabled", "--set", rates)
    folder = tmp_path / "results" / "tiny"
    for i, signum in enumerate(STOPPED):
        done = bn(*args)
        assert check_stopped(folder, done.status, done.err, signum) == 4 * (i + 1)
    check_completed(folder, bn(*args), 12, new=4)


@pytest.mark.slow
@pytest.mark.parametrize("signum", STOPPED)
def test_a_stopped_process_leaves_what_is_finished(
    bn: Bn, config: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """The signal comes when the first of two shards is there, and the program of the second is being compiled."""
    args = ("run", config, "--results", tmp_path / "results", "--wandb", "disabled", "--set", "axes.width=[4, 8]")
    folder = tmp_path / "results" / "tiny"
    start = command("-m", "bn_ablate.cli", *args)
    with subprocess.Popen(**start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(folder.glob("shards/[!.]*")):
            time.sleep(0.01)
        process.send_signal(signum)
        _, err = process.communicate(timeout=60)
    assert check_stopped(folder, process.returncode, err, signum) == 4
    check_completed(folder, bn(*args), 8, new=4)
