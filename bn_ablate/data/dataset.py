"""A whole data set on the host, and the error that all of `data` raises."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8


class DataError(Exception):
    """A data set cannot be had as asked; the message says which, where, and what to do."""


class DataSettingError(DataError):
    """What a study says of its data cannot be, whatever the machine; `key` is the key that says it."""

    def __init__(self, message: str, key: str = "data") -> None:
        super().__init__(message)
        self.key = key


class Extent(NamedTuple):
    """How large a data set is: `(height, width, channels)` of an image, classes, and examples."""

    image: tuple[int, ...]
    classes: int
    examples: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Every example of a data set: its own train examples first, then its own test examples.

    Examples `[0, n_official_train)` are the data set's own train split. `n_official_train == len(labels)` says that it
    has no test split. The arrays are read-only, and memory-mapped where a cache on disk holds them.
    """

    name: str
    version: str
    images: UInt8[np.ndarray, "examples height width channels"]
    labels: Int32[np.ndarray, " examples"]
    n_classes: int
    n_official_train: int
    sha256: str

    @property
    def extent(self) -> Extent:
        """How large it is."""
        return Extent(self.images.shape[1:], self.n_classes, len(self.labels))


def fingerprint(
    images: UInt8[np.ndarray, "examples height width channels"], labels: Int32[np.ndarray, " examples"]
) -> str:
    """SHA-256, in hexadecimal, of the type, shape and bytes of both arrays."""
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.reshape(-1).data)
    return digest.hexdigest()
