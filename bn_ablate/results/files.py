"""Files that are whole or absent: written under a temporary name, flushed, renamed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from bn_ablate.config.errors import BnAblateError

if TYPE_CHECKING:
    import polars as pl

LITTER = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".directory", ".nfs*")
"""What systems leave in folders that people look into: neither ours nor a fault."""

TEMPORARY = ".writing-"
"""Every unfinished file or folder has a name that begins so; whatever bears it may be deleted."""


class ResultsError(BnAblateError):
    """Results that cannot be written, or are not what they should be; the message says which file, and what to do."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    What it replaces is a regular file, or a link, not what the link leads to.

    Raises:
        ResultsError: it cannot be written, or is a folder, a device or a pipe, which stays as it is.
    """
    with _told(path):
        if os.path.lexists(path) and not path.is_symlink() and not path.is_file():
            raise ResultsError(f"{path}: is {'a folder' if path.is_dir() else 'no regular file'}, and stays as it is")
        temporary = _temporary(path)
        temporary.touch(exist_ok=False)  # not by mkstemp, whose files are for their owner alone, whatever the umask
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises:
        ResultsError: it cannot be written.
    """
    with _told(path):
        temporary = _temporary(path)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.iterdir():
                _flush(file)
            _flush(temporary)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        _flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # a name of a file may be no text


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def write_output(path: Path, text: str) -> bool:
    """Write `text` to where somebody wants it, and say whether it is a file of its own now.

    A device or a pipe takes it as it comes, and so does what this process prints to, such as `/dev/stdout`. Where
    `path` is a link, it is written to where the link leads.

    Raises:
        ResultsError: it cannot be written.
    """
    with _told(path):
        if not is_stream(path):
            write_text(Path(os.path.realpath(path)), text)
            return True
        sys.stdout.flush()
        with os.fdopen(os.dup(1), "wb") if _is_printed_to(path) else path.open("ab") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
        return False


def is_stream(path: Path) -> bool:
    """Whether `path` is a device, a pipe, or what this process prints to."""
    with suppress(OSError):
        there = path.stat().st_mode
        return stat.S_ISCHR(there) or stat.S_ISFIFO(there) or _is_printed_to(path)
    return False


def _is_printed_to(path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(1))
    return False


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write `table` as Parquet, whole or not at all; the same table gives the same bytes."""
    write_tables({path: (table.schema, iter([table]))})


def write_tables(tables: Mapping[Path, tuple[Mapping[str, Any], Iterator[pl.DataFrame]]]) -> None:
    """Write tables as Parquet, each of its schema and its rows, which come some at a time: all are whole, or none is.

    The same rows, in the same pieces, give the same bytes.

    Raises:
        ResultsError: one cannot be written.
    """
    with ExitStack() as whole:
        for path, (schema, pieces) in tables.items():
            temporary = whole.enter_context(whole_file(path))
            content = _parquet(schema, pieces)
            with _told(path):
                temporary.write_bytes(content.getbuffer())


def _parquet(schema: Mapping[str, Any], pieces: Iterator[pl.DataFrame]) -> io.BytesIO:
    """A Parquet file; Python writes it to disk, and passes on what the system refuses, which polars does not always."""
    from polars.io.plugins import register_io_source

    buffer = io.BytesIO()
    rows = register_io_source(lambda *_: pieces, schema=schema)
    rows.sink_parquet(buffer, compression="zstd", statistics=False, maintain_order=True)
    return buffer


def read_table(path: Path) -> pl.DataFrame:
    """The table in a Parquet file, whose name may be no text."""
    import polars as pl

    return pl.read_parquet(io.BytesIO(path.read_bytes()))


def scan_table(path: Path) -> pl.LazyFrame:
    """The table in a Parquet file, read as it is asked for; at once where its name is no text, as Polars has them."""
    import polars as pl

    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return pl.scan_parquet(io.BytesIO(path.read_bytes()), glob=False)
    return pl.scan_parquet(path, glob=False)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    """What an error says, on one line: pydantic's name the field on one and the fault on the next."""
    return ": ".join(line.strip() for line in str(error).splitlines()[:3])


def is_litter(path: PurePath) -> bool:
    """Whether a system left `path`, and not a person or a run."""
    return any(path.match(pattern) for pattern in LITTER)


def sweep(folder: Path) -> None:
    """Remove what an interrupted write left behind in `folder`."""
    for left in folder.rglob(f"{TEMPORARY}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """A name beside `path` for what is not whole yet, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}{path.suffix}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ResultsError(f"{path}: cannot be written ({reason}); what was finished before is whole") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
