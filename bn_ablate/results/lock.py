"""One process at a time that writes to a results folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bn_ablate.results.files import ResultsError

LOCK = "lock"
PATIENCE = 3
"""How often the lock is tried again."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the results folder `folder`, making it where there is none.

    The lock belongs to the open file, not to its being there: what a dead process leaves behind locks nothing.

    Raises:
        ResultsError: another process holds it, or it cannot be had here.
    """
    file = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _lock(file)
    except BlockingIOError:
        raise ResultsError(
            f"{folder}: {_holder(folder)} is at work on it; wait for its end, or share the study out: `bn-ablate "
            "run CONFIG --part I/N` has a folder for each part, and `bn-ablate merge` puts them together"
        ) from None
    except OSError as error:
        raise ResultsError(
            f"{folder}: cannot be written to: {error.strerror}; choose another folder with --results"
        ) from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


def lock_text(folder: Path) -> str:
    """What the lock of the results folder `folder` says of its holder; empty where there is none to be seen."""
    try:
        return (folder / LOCK).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def holder_of(folder: Path) -> str | None:
    """Who is at work on the results folder `folder`, in words; None where nobody is. Leaves no trace."""
    file = folder / LOCK
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(folder)
    finally:
        os.close(handle)
    return None


def _lock(file: Path) -> int:
    """An open handle of `file` that holds its lock."""
    patience = PATIENCE
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if file.exists() and os.path.samestat(os.fstat(handle), file.stat()):
                os.truncate(handle, 0)
                os.write(handle, f"{os.getpid()} on {os.uname().nodename}\n".encode())
                return handle
        except BlockingIOError:
            os.close(handle)
            if not patience:
                raise
            patience -= 1  # a reader that asks who is at work holds the lock for a moment
            time.sleep(0.02)
            continue
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder has removed it since it was opened


def _holder(folder: Path) -> str:
    """Who holds the lock, as far as it says."""
    said = lock_text(folder)
    return f"another run (process {said})" if said else "another run"
