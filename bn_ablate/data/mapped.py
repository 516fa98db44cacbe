"""Arrays that are files: what was read of them need not stay in memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

CHUNK_BYTES = 64 * 2**20
"""What is read at once of an array that may be larger than the memory."""
_AT_ONCE = 256


def mapping(array: np.ndarray) -> mmap.mmap | None:
    """The file that `array` is mapped from, where it is; None for a copy on write, which the file does not hold."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode not in ("r", "r+"):
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def release(array: np.ndarray) -> None:
    """Let the system have back the memory of the pages that were read, where `array` is mapped from a file.

    It stays readable. Without this, all that was ever read of it would count as this process's.
    """
    if (file := mapping(array)) is not None and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def taken(array: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """A copy of `array[indices]`, a few entries at a time: around each the system may map megabytes of a file."""
    found = np.empty((len(indices), *array.shape[1:]), array.dtype)
    for begin in range(0, len(indices), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        found[some] = array[indices[some]]
        release(array)
    return found


def chunks(array: np.ndarray, most: int = 2**62) -> Iterator[np.ndarray]:
    """`array` in stretches along its first axis, of at most `most` entries, each of which is released after its use."""
    size = max(1, min(most, CHUNK_BYTES // max(1, array[:1].nbytes)))
    for begin in range(0, len(array), size):
        yield array[begin : begin + size]
        release(array)
