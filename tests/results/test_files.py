"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import signal
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
    write_table,
    write_text,
)
from tests.results.made_up import listing


def python(code: str, *args: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter, with `args` as sys.argv[1:]."""
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


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


KILLED = """
import os, signal, sys
from pathlib import Path
from bn_ablate.results.files import whole_file, whole_folder
file, folder = map(Path, sys.argv[1:])
with whole_folder(folder) as inside, whole_file(file) as temporary:
    (inside / "one").write_text("half of the n")
    temporary.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_the_old_file_and_what_can_be_swept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    assert python(KILLED, tmp_path / "file", tmp_path / "folder").returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    assert not (tmp_path / "folder").exists()
    left = [path.name for path in tmp_path.iterdir() if path.name != "file"]
    assert len(left) == 2
    assert all(name.startswith(TEMPORARY) for name in left)
    sweep(tmp_path)
    assert listing(tmp_path) == {"file": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_sweeping_reaches_every_depth_and_spares_the_rest(tmp_path: Path) -> None:
    for name in (f"a/{TEMPORARY}x/inside", f"a/b/{TEMPORARY}y", "a/writing-z", "a/b/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert set(listing(tmp_path)) == {"a/writing-z", "a/b/.hidden"}


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    told = r"file: cannot be written \(No space left on device\); what was finished before is whole"
    with pytest.raises(ResultsError, match=told), whole_file(tmp_path / "file"):
        Path("/dev/full").write_text("new")
    assert listing(tmp_path) == {"file": b"old"}


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="table: cannot be written"):
        write_text(tmp_path / "file" / "table", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ResultsError, match=r"folder: cannot be written \(Is a directory\)"):
        write_text(tmp_path / "folder", "x")
    assert listing(tmp_path) == {"file": b""}


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, polars as pl
from bn_ablate.results import ResultsError
from bn_ablate.results.files import write_bytes, write_table
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # the system refuses to let any file grow beyond
folder = Path(sys.argv[1])
table = pl.DataFrame({"x": np.random.default_rng(0).random(10**5)})
for write, content in ((write_bytes, bytes(10**6)), (write_table, table)):
    try:
        write(folder / "file", content)
    except ResultsError as error:
        print(error)
"""


def test_what_the_system_refuses_to_write_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    done = python(LIMITED, tmp_path)
    assert done.stderr == ""
    told = done.stdout.splitlines()
    assert len(told) == 2
    assert all(
        line.startswith(f"{tmp_path / 'file'}: cannot be written (") and "File too large" in line for line in told
    )
    assert listing(tmp_path) == {"file": b"old"}
