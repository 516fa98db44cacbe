"""A first signal waits for a good moment; a second one does not."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from bn_ablate import engine
from bn_ablate.cli.signals import Stopped, stopping_softly
from bn_ablate.engine import Engine
from bn_ablate.results import locked, open_results
from tests.cli.command_line import Bn, command, run
from tests.patches import begun_as_by_users

HANGING = """
import hashlib
from bn_ablate.cli.signals import stopping_softly
with stopping_softly() as check:
    check(unsaved=UNSAVED)
    print("there", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # as the compiler, back in Python when it is done, and not before
    check(unsaved=False)
"""
COMPILING_ON = """
import hashlib, threading
from bn_ablate.cli import signals
threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 10**9)).start()
signals.leave(143)
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_is_noted_and_handlers_come_back(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with stopping_softly() as check:
        check(unsaved=False)
        signal.raise_signal(signum)
        with pytest.raises(Stopped) as stopped:
            check(unsaved=False)
        assert check.unsaved  # what is finished is published next
    assert stopped.value.status == 128 + signum
    assert signal.getsignal(signum) is before
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_the_process_wherever_it_is(signum: signal.Signals, status: int) -> None:
    hanging = command("-c", HANGING.replace("UNSAVED", "True"))
    with subprocess.Popen(**hanging, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signum)
        assert process.stderr.readline() == "\n"
        assert process.stderr.readline().endswith("once more stops at once\n")
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
    assert process.returncode == status
    assert err.startswith("\nstopped at once; what was stored before stays")


def test_a_first_signal_ends_a_process_that_compiles_and_has_nothing_to_store() -> None:
    hanging = command("-c", HANGING.replace("UNSAVED", "False"))
    with subprocess.Popen(**hanging, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)  # the compiler would take minutes
    assert process.returncode == 143
    assert err.endswith("\nstopped where nothing was unsaved, and the same command resumes from there\n")


def test_a_process_that_a_signal_has_ended_does_not_wait_for_the_compiler() -> None:
    assert subprocess.run(**command("-c", COMPILING_ON), check=False, timeout=60).returncode == 143


def test_a_stop_in_training_goes_on_in_the_middle_of_a_shard(
    bn: Bn, config: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes in the first of the shard's segments, of 2 steps each."""
    call = Engine._compiled

    def with_a_signal(self: Engine, *args: object) -> object:
        signal.raise_signal(signal.SIGTERM)
        return call(self, *args)  # type: ignore[arg-type]

    args = ("--results", tmp_path / "stopped", "--wandb", "disabled")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_compiled", with_a_signal)
        assert bn("run", config, *args).status == 143
    folder = tmp_path / "stopped" / "tiny"
    assert {file.suffix for file in (folder / "checkpoints").iterdir()} == {".ckpt", ".json"}
    assert open_results(folder).manifest["timing"]["lane_steps"] == 4 * 2
    run(bn, config, tmp_path / "stopped")
    timing = open_results(folder).manifest["timing"]
    assert (timing["lane_steps"], timing["lane_steps_resumed"]) == (4 * 2, 4 * 2)
    assert not (folder / "checkpoints").exists()
    for table in ("lanes", "history", "layers", "histograms"):
        name = f"{table}.parquet"
        assert (folder / name).read_bytes() == (results / "tiny" / name).read_bytes()


@pytest.mark.parametrize("compared", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_too_little_memory_halves_the_shard_and_says_so(
    bn: Bn, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: bool
) -> None:
    """Memory is said to suffice for four of eight lanes, then for none; `compared` with a run for which it suffices."""
    more = ("--set", "axes.learning_rate=[0.01, 0.1, 0.2, 0.3]")
    if compared:
        begun_as_by_users(monkeypatch)
        run(bn, config, tmp_path / "whole", *more)
    train, most = Engine.run, 4

    def scarce(self: Engine, shard: engine.Shard, *args: object, **kwargs: object) -> object:
        if len(shard.lane_ids) > most:
            raise MemoryError
        return train(self, shard, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "run", scarce)
    out = run(bn, config, tmp_path / "halved", *more)
    note = "memory did not suffice for more than 4 lanes at once: shards were halved"
    assert f"note: {note}\n" in out
    done = open_results(tmp_path / "halved" / "tiny")
    assert done.manifest["notes"] == [note]
    assert done.lanes.height == 8
    for name in ("lanes.parquet", "history.parquet") if compared else ():
        whole = (tmp_path / "whole" / "tiny" / name).read_bytes()
        assert (tmp_path / "halved" / "tiny" / name).read_bytes() == whole
    most = 0
    none = bn("run", config, "--results", tmp_path / "none", "--wandb", "disabled")
    assert none.status == 1
    assert "bn-ablate: memory does not suffice for a single lane: reduce model.width" in none.err


def test_a_second_run_on_the_folder_stops(bn: Bn, config: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "results" / "tiny"):
        done = bn("run", config, "--results", tmp_path / "results", "--wandb", "disabled")
    assert done.status == 1
    assert "results/tiny: another run (process " in done.err
    assert list((tmp_path / "results" / "tiny").iterdir()) == []
