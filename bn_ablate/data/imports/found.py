"""What an import has found at a path: labelled examples of one shape, and what every reader has to ask of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from bn_ablate.data.dataset import DataError

Progress = Callable[[str, int, int], None]
"""What is under way, how many examples or files are done, and of how many."""
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
"""What the two splits are called where data come in, and here."""


class ImportArgumentError(DataError):
    """What is asked of an import cannot be: another path, name or option is needed, not other data."""

    status = 2


@dataclass(frozen=True)
class Asked:
    """What the command says besides the path; each of it is for one kind of source, and refused by the others."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    resize: tuple[int, int] | None = None

    def only(self, where: str, kind: str, *options: str) -> None:
        """Refuse all options but these.

        Raises:
            ImportArgumentError: another is given.
        """
        for option, meant in (("label", "tables"), ("drop", "tables"), ("resize", "image files")):
            if option not in options and getattr(self, option):
                raise ImportArgumentError(f"--{option} is for {meant}, and {where} is {kind}")


@dataclass(frozen=True)
class Found:
    """Labelled examples of one shape and type, read when they are asked for.

    Attributes:
        shape: of one example: (height, width, channels), or (features,).
        kind: uint8 or float32.
        classes: their names, in the order of the labels.
        sizes: how many examples each split has: train, and test where there is one.
        examples: those of a split, in their order, with their labels.
        sha256: of the source: its bytes, or those of its files and their names.
        remarks: what was left out, a sentence each.
    """

    shape: tuple[int, ...]
    kind: type[np.uint8] | type[np.float32]
    classes: tuple[str, ...]
    sizes: dict[str, int]
    examples: Callable[[str], Iterator[tuple[np.ndarray, int]]]
    sha256: str
    remarks: tuple[str, ...] = ()


def class_names(labels: Iterable[Any]) -> tuple[Any, ...]:
    """The different labels in order: numbers, and words that are all numbers, by size; other words by the alphabet."""
    words = set(labels)
    numbers = all(isinstance(word, int) or (word.isascii() and word.isdecimal()) for word in words)
    return tuple(sorted(words, key=lambda word: (int(word), word) if numbers else word))


def number_classes(
    labels: dict[str, list[Any]], where: str
) -> tuple[tuple[str, ...], dict[str, Int32[np.ndarray, " examples"]]]:
    """Names of the classes, and the labels of each split as numbers from 0; the classes are those of the train split.

    Raises:
        DataError: there are not two classes, the test split has one that training never shows, or none recurs.
    """
    classes = class_names(labels["train"])
    if len(classes) < 2:
        raise DataError(
            f"{where} has {len(classes)} class{': ' + str(classes[0]) if classes else 'es'}; two are needed"
        )
    if len(classes) == len(labels["train"]):
        raise DataError(f"{where} has as many classes as examples, {len(classes)}: these labels name no classes")
    if strange := [name for name in class_names(labels.get("test", ())) if name not in set(classes)]:
        raise DataError(f"{where} has the class {strange[0]} among its test examples, and not among those to train on")
    number = {name: i for i, name in enumerate(classes)}
    names = tuple(str(name) for name in classes)
    if bad := next((name for name in names if not name.strip() or not name.isprintable()), None):
        raise DataError(f"{where} has a class of the name {bad!r}, which cannot be shown; rename it")
    return names, {split: np.array([number[label] for label in of], np.int32) for split, of in labels.items()}


def whole_labels(labels: np.ndarray, where: str) -> list[Any]:
    """Labels `(examples,)` of any type as whole numbers or words; `where` names the array.

    Raises:
        DataError: one is neither.
    """
    if labels.dtype.kind == "f":
        odd = np.flatnonzero(~np.isfinite(labels) | (labels != np.floor(labels)))
        if odd.size:
            raise DataError(f"{where}[{odd[0]}] is {labels[odd[0]]}: a label is a whole number or a word")
        labels = labels.astype(np.int64)
    return list(labels.astype(np.str_).tolist() if labels.dtype.kind == "S" else labels.tolist())


def sha256_of(*files: Path) -> str:
    """SHA-256 of a file, in hexadecimal; of several, that of their sums and names, as `sha256sum` writes them."""
    sums = []
    for path in files:
        with path.open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(files) == 1:
        return sums[0]
    lines = (f"{digest}  {path.name}\n" for digest, path in zip(sums, files, strict=True))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
