"""One run at a time on a results folder; and a dead one stands in nobody's way."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bn_ablate.results import ResultsError, Store, locked
from bn_ablate.results.files import TEMPORARY
from tests.results.made_up import finished, plan_of, published

HOLDING = """
import sys
from pathlib import Path
from bn_ablate.results import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_the_second_learns_who_is_there_until_the_first_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with holder(folder) as process:
        told = rf"study: another run \(process {process.pid} on .*\) is at work on it; wait for its end"
        with pytest.raises(ResultsError, match=told), locked(folder):
            pass
        half = folder / f"{TEMPORARY}half"
        half.touch()
        with pytest.raises(ResultsError, match=told), Store(folder).alone():
            pass
        assert half.exists()
        process.send_signal(signal.SIGKILL)
    assert sorted(file.name for file in folder.iterdir()) == [half.name, "lock"]
    with Store(folder).alone():
        assert sorted(file.name for file in folder.iterdir()) == ["lock", "shards"]
    assert [file.name for file in folder.iterdir()] == ["shards"]


def test_a_lock_is_no_part_of_the_results(tmp_path: Path) -> None:
    store = published(tmp_path / "study")
    with locked(store.path):
        store.publish(plan_of(), {"status": "complete"})
        assert "lock" not in (store.path / "manifest.json").read_text()
        store.clear()
        assert [file.name for file in store.path.iterdir()] == ["lock"]
    assert finished(Store(store.path)) == set()


def test_a_lock_in_a_folder_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    with locked(tmp_path / "study"):
        (tmp_path / "study" / "lock").unlink()
        (tmp_path / "study").rmdir()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("untouched")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(ResultsError, match="study: cannot be written to"), locked(tmp_path / "study"):
        pass
    assert (tmp_path / "precious").read_text() == "untouched"
