"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from bn_ablate.results import ResultsError
from bn_ablate.results.files import (
    TEMPORARY,
    sha256_of,
    sweep,
    whole_file,
    whole_folder,
    write_bytes,
    write_output,
    write_table,
    write_text,
)
from tests.results.made_up import listing

OF_ITS_OWN = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np, polars as pl
from bn_ablate.results import ResultsError
from bn_ablate.results.files import whole_file, whole_folder, write_bytes, write_output, write_table
printed, limited, killed = (Path(sys.argv[1]) / name for name in ("printed", "limited", "killed"))

print("one")
for name in ("/dev/stdout", str(printed / "log")):
    write_output(Path(name), "two\\n")
print("three", flush=True)

_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, most))  # the system refuses to let any file grow beyond
table = pl.DataFrame({"x": np.random.default_rng(0).random(10**5)})
for write, content in ((write_bytes, bytes(10**6)), (write_table, table)):
    try:
        write(limited / "file", content)
    except ResultsError as error:
        print(error, file=sys.stderr)

with whole_folder(killed / "folder") as inside, whole_file(killed / "file") as temporary:
    (inside / "one").write_text("half of the n")
    temporary.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """What a process of its own has left in three folders, printed to the end of a log, to stderr, and ended with."""
    root = tmp_path_factory.mktemp("process")
    for name, file in (("printed", "log"), ("limited", "file"), ("killed", "file")):
        (root / name).mkdir()
        (root / name / file).write_text("old\n")
    command = [sys.executable, "-c", OF_ITS_OWN, str(root)]
    with (root / "printed" / "log").open("a") as log:
        return root, subprocess.run(command, stdout=log, stderr=subprocess.PIPE, text=True, check=False, timeout=60)


def test_what_is_written_is_there(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "text", "µ ± 3σ\n")
    write_bytes(tmp_path / "bytes", b"\0\xff")
    write_table(tmp_path / "table.parquet", pl.DataFrame({"x": [1, 2]}))
    assert (tmp_path / "new" / "text").read_text(encoding="utf-8") == "µ ± 3σ\n"
    assert (tmp_path / "bytes").read_bytes() == b"\0\xff"
    assert pl.read_parquet(tmp_path / "table.parquet")["x"].to_list() == [1, 2]
    assert set(listing(tmp_path)) == {"new/text", "bytes", "table.parquet"}
    assert (tmp_path / "bytes").stat().st_mode & 0o777 == 0o644


def test_sha256_by_the_standards_example(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("fault", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_exception_leaves_the_old_file_or_none(tmp_path: Path, before: bytes | None, fault: BaseException) -> None:
    file = tmp_path / "file"
    if before is not None:
        file.write_bytes(before)
    expected = ResultsError if isinstance(fault, OSError) else type(fault)

    def write() -> None:
        with whole_file(file) as temporary:
            temporary.write_bytes(b"half of the n")
            raise fault

    with pytest.raises(expected):
        write()
    assert listing(tmp_path) == ({} if before is None else {"file": before})


def test_an_exception_leaves_no_folder(tmp_path: Path) -> None:
    def write() -> None:
        with whole_folder(tmp_path / "folder") as temporary:
            (temporary / "one").write_text("1")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_comes_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "in" / "folder") as temporary:
        (temporary / "one").write_text("1")
        assert not (tmp_path / "in" / "folder").exists()
        (temporary / "two").write_text("2")
    assert listing(tmp_path) == {"in/folder/one": b"1", "in/folder/two": b"2"}


def test_a_folder_replaces_no_other(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "folder") as temporary:
        (temporary / "one").write_text("1")
    with pytest.raises(ResultsError, match="folder: cannot be written"), whole_folder(tmp_path / "folder") as temporary:
        (temporary / "two").write_text("2")
    assert listing(tmp_path) == {"folder/one": b"1"}


def test_a_killed_process_leaves_the_old_file_and_what_can_be_swept(
    process: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = process[0] / "killed", process[1]
    assert done.returncode == -signal.SIGKILL
    assert (folder / "file").read_text() == "old\n"
    assert not (folder / "folder").exists()
    left = [path.name for path in folder.iterdir() if path.name != "file"]
    assert len(left) == 2
    assert all(name.startswith(TEMPORARY) for name in left)
    sweep(folder)
    assert listing(folder) == {"file": b"old\n"}
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_sweeping_reaches_every_depth_and_spares_the_rest(tmp_path: Path) -> None:
    for name in (f"a/{TEMPORARY}x/inside", f"a/b/{TEMPORARY}y", "a/writing-z", "a/b/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert set(listing(tmp_path)) == {"a/writing-z", "a/b/.hidden"}


def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    told = r"file: cannot be written \(No space left on device\); what was finished before is whole"
    with pytest.raises(ResultsError, match=told), whole_file(tmp_path / "file"):
        Path("/dev/full").write_text("new")
    assert listing(tmp_path) == {"file": b"old"}


def test_a_place_that_is_no_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="table: cannot be written"):
        write_text(tmp_path / "file" / "table", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultsError, match=r"folder: is a folder, and stays as it is"):
        write_text(tmp_path / "folder", "x")
    assert listing(tmp_path) == {"file": b""}


def test_what_the_system_refuses_to_write_is_reported(
    process: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = process[0] / "limited", process[1]
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert all(line.startswith(f"{folder / 'file'}: cannot be written (") and "File too large" in line for line in told)
    assert listing(folder) == {"file": b"old\n"}


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_only_regular_files_are_replaced(tmp_path: Path, pipe: Path) -> None:
    """Root may rename a file over a device, too."""
    (tmp_path / "folder").mkdir()
    for path in (pipe, tmp_path / "folder", Path("/dev/null"), Path("/dev/full")):
        before = path.lstat()
        with pytest.raises(ResultsError, match=r"is (a folder|no regular file), and stays as it is$"):
            write_text(path, "x")
        assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert not list(Path("/dev").glob(f"{TEMPORARY}*"))


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("there", "not_yet"):
        (tmp_path / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "there").write_text("old")
    for name in ("there", "not_yet"):
        assert write_output(tmp_path / name, "new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "elsewhere" / name).read_text() == "new"


def test_devices_and_pipes_take_what_is_written(pipe: Path, capfd: pytest.CaptureFixture[str]) -> None:
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert not write_output(pipe, "through\n")
    assert os.read(reading, 100) == b"through\n"
    os.close(reading)
    assert not write_output(Path("/dev/null"), "x")
    sys.stdout.write("before\n")
    assert not write_output(Path("/dev/stdout"), "between\n")
    sys.stdout.write("after\n")
    assert capfd.readouterr().out == "before\nbetween\nafter\n"
    with pytest.raises(ResultsError, match=r"^/dev/full: cannot be written \(No space left on device\)"):
        write_output(Path("/dev/full"), "x")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_what_is_printed_to_is_added_to(process: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """As in `>> log`: with `--output /dev/stdout`, and with the name of the log itself."""
    assert (process[0] / "printed" / "log").read_text() == "old\none\ntwo\ntwo\nthree\n"
