"""Arrays in a `.npz` file: `x` and `y`, or `x_train` and `y_train`, each with `x_test` and `y_test` or without."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bn_ablate.data.dataset import DataError, finite_examples
from bn_ablate.data.imports.found import Asked, Found, Progress, number_classes, sha256_of, whole_labels


def numpy_archive(path: Path, asked: Asked, progress: Progress) -> Found:
    """The arrays of `path`: images, (examples, height, width) or with channels, or vectors, (examples, features).

    uint8 stays uint8, floats become float32. Labels are whole numbers or words, (examples,) or (examples, 1).

    Raises:
        DataError: the file is damaged or lacks an array, or an array is not of such a shape, type or finite numbers.
        ImportArgumentError: an option is not for arrays.
    """
    asked.only(str(path), "a file of arrays")
    try:
        with np.load(path, allow_pickle=False) as file:
            names = sorted(file.files)
            train = ("x", "y") if "x" in names else ("x_train", "y_train")
            test = ("x_test", "y_test")
            wanted = {"train": train} | ({"test": test} if set(test) & set(names) else {})
            if missing := [name for pair in wanted.values() for name in pair if name not in names]:
                raise DataError(
                    f"{path} has no array {missing[0]}; x and y, or x_train, y_train, x_test and y_test are read, and "
                    f"it holds {', '.join(names) or 'none'}"
                )
            arrays = {split: (file[x], file[y]) for split, (x, y) in wanted.items()}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as a .npz file of plain arrays: {error}") from error
    images, labels = {}, {}
    for split, (x, y) in arrays.items():
        x_name, y_name = (f"{path}: {name}" for name in wanted[split])
        images[split] = finite_examples(x_name, x)
        labels[split] = _labels(y_name, y, len(images[split]))
    (shape, kind), *others = {(array.shape[1:], array.dtype) for array in images.values()}
    if others:
        raise DataError(
            f"{path}: x_test has examples of shape {images['test'].shape[1:]} and {images['test'].dtype}, "
            f"{train[0]} of {images['train'].shape[1:]} and {images['train'].dtype}"
        )
    classes, numbers = number_classes(labels, str(path))

    def examples(split: str) -> Iterator[tuple[np.ndarray, int]]:
        yield from zip(images[split], numbers[split].tolist(), strict=True)

    sizes = {split: len(array) for split, array in images.items()}
    return Found(shape, kind.type, classes, sizes, examples, sha256_of(path))


def _labels(where: str, y: np.ndarray, n: int) -> list[object]:
    labels = y.reshape(-1) if y.shape == (n, 1) else y
    if labels.shape != (n,) or labels.dtype.kind not in "iufbUS":
        hint = "; of rows that mark their class, store .argmax(1)" if labels.ndim == 2 else ""
        raise DataError(
            f"{where} is {y.dtype} of shape {y.shape}; a label for each of the {n} examples is needed{hint}"
        )
    return whole_labels(labels, where)
