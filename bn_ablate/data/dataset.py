"""A whole data set on the host, and the error that all of `data` raises."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from bn_ablate.config.architectures import Extent
from bn_ablate.config.errors import BnAblateError
from bn_ablate.config.names import NAME
from bn_ablate.data.mapped import chunks, mapping

Images = UInt8[np.ndarray, "examples height width channels"] | Float32[np.ndarray, "examples height width channels"]
"""Images; vectors are images of one pixel, with a channel for each number."""


class DataError(BnAblateError):
    """A data set is not available as asked; the message says which, where, and what to do."""


class DataSettingError(DataError):
    """What a study says of its data cannot be, whatever the machine; `key` is the key that says it."""

    def __init__(self, message: str, key: str = "data") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Every example of a data set: its own train examples first, then its own test examples.

    Examples `[0, n_official_train)` are the data set's own train split. `n_official_train == len(labels)` says that it
    has no test split. The arrays are read-only, and memory-mapped where a cache on disk holds them.
    """

    name: str
    version: str
    images: Images
    labels: Int32[np.ndarray, " examples"]
    n_classes: int
    n_official_train: int
    sha256: str

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape[1:]))
        return f"Dataset({self.name} {self.version}: {len(self.labels)} of {shape}, {self.n_classes} classes)"

    @property
    def extent(self) -> Extent:
        """How large it is."""
        return Extent(self.images.shape[1:], self.n_classes, len(self.labels), self.images.itemsize)

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        x_test: Any = None,
        y_test: Any = None,
        name: str = "arrays",
        n_classes: int | None = None,
    ) -> Dataset:
        """A data set of arrays, for `run`, `train_lane` and the like.

        Args:
            x: images, (examples, height, width) or (examples, height, width, channels), or vectors, (examples,
                features); uint8, or floats, which are kept as float32. What NumPy maps from a file, uint8 or float32
                as `np.load(file, mmap_mode="r")` gives it, is not copied where there is no `x_test`: it is read as it
                is needed, and may be larger than the memory.
            y: labels, (examples,): whole numbers from 0.
            x_test: the images of the data set's own test split, for `data.split = "official"`; none where not given.
            y_test: its labels.
            name: what results call it.
            n_classes: the largest label and one, where not given.

        Raises:
            DataError: the arrays are not that: another shape or type, values that are not finite, no two classes.

        Examples:
            >>> import numpy as np
            >>> x = np.random.default_rng(0).normal(size=(300, 8))
            >>> bn.Dataset.from_arrays(x, (x[:, 0] > 0).astype(int), name="signs")
            Dataset(signs arrays: 300 of 1 × 1 × 8, 2 classes)
        """
        if not re.fullmatch(NAME, name):
            raise DataError(f"name = {name!r} is none for a data set: letters, digits, '.', '_' and '-'")
        if (x_test is None) != (y_test is None):
            raise DataError("x_test and y_test go together: give both, or neither")
        images, labels = _examples(name, "", x, y)
        n_train = len(labels)
        if x_test is not None:
            more, their_labels = _examples(name, "_test", x_test, y_test)
            if (more.shape[1:], more.dtype) != (images.shape[1:], images.dtype):
                raise DataError(
                    f"{name}: x_test has examples of shape {more.shape[1:]} and {more.dtype}, "
                    f"x of {images.shape[1:]} and {images.dtype}"
                )
            images, labels = np.concatenate([images, more]), np.concatenate([labels, their_labels])
        classes = int(labels.max()) + 1 if n_classes is None else n_classes
        if labels.max() >= classes or len(np.unique(labels)) < 2:
            raise DataError(
                f"{name}: labels are to be of two classes or more, from 0 to n_classes - 1 = {classes - 1}; "
                f"they go from {labels.min()} to {labels.max()}, and are {len(np.unique(labels))} different ones"
            )
        images.setflags(write=False)
        labels.setflags(write=False)
        return cls(name, "arrays", images, labels, classes, n_train, fingerprint(images, labels))


def _examples(name: str, which: str, x: Any, y: Any) -> tuple[Images, Int32[np.ndarray, " examples"]]:
    """Images and labels in their types and shapes: a copy of those that are not mapped from a file."""
    images, labels = np.asarray(x), np.asarray(y)
    examples = finite_examples(f"{name}: x{which}", images)
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(
            f"{name}: y{which} is {labels.dtype} of shape {labels.shape}; it is to be whole numbers from 0, one for "
            f"each of the {len(images)} examples of x{which}"
        )
    return as_images(examples), labels.astype(np.int32)


def finite_examples(
    where: str, x: np.ndarray
) -> UInt8[np.ndarray, "examples ..."] | Float32[np.ndarray, "examples ..."]:
    """`x` as (examples, height, width, channels) or (examples, features), of uint8 or of float32.

    It is a copy, but of what is mapped from a file and has that type already.

    Raises:
        DataError: it has another shape or type, or values that are not finite; `where` names it.
    """
    if x.dtype != np.uint8 and not np.issubdtype(x.dtype, np.floating):
        raise DataError(f"{where} is {x.dtype}; uint8 and floats are taken, as of x.astype('float32')")
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DataError(
            f"{where} has the shape {x.shape}; images are (examples, height, width) or (examples, "
            "height, width, channels), vectors (examples, features)"
        )
    kind = np.uint8 if x.dtype == np.uint8 else np.float32
    mapped = mapping(x) is not None and x.dtype == kind and x.flags.c_contiguous
    with np.errstate(over="ignore"):
        examples = x if mapped else np.array(x, kind, order="C")
    if (bad := first_not_finite(examples)) is not None:
        raise DataError(f"{where}[{bad}] holds values that are not finite numbers of float32")
    return examples[..., np.newaxis] if examples.ndim == 3 else examples


def first_not_finite(examples: np.ndarray) -> int | None:
    """The first of `examples` that has values which are not finite numbers; None where all are."""
    seen = 0
    for some in chunks(examples) if examples.dtype != np.uint8 else ():
        finite = np.isfinite(some.reshape(len(some), -1)).all(1)
        if not finite.all():
            return seen + int(finite.argmin())
        seen += len(some)
    return None


def as_images(examples: np.ndarray) -> Images:
    """`examples` as (examples, height, width, channels): vectors as images of one pixel, grey images with a channel."""
    shape = examples.shape
    return examples.reshape({2: (len(examples), 1, 1, -1), 3: (*shape, 1), 4: shape}[examples.ndim])


def fingerprint(images: Images, labels: Int32[np.ndarray, " examples"]) -> str:
    """SHA-256, in hexadecimal, of the type, shape and bytes of both arrays."""
    digest = hashlib.sha256()
    for array in (images, labels):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for some in chunks(array):
            digest.update(np.ascontiguousarray(some).reshape(-1).data)
    return digest.hexdigest()
