"""Images in a folder for each class, with or without train and test above these, on disk or in a zip file."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from bn_ablate.data.dataset import DataError
from bn_ablate.data.imports.found import SPLITS, Asked, Found, Progress, number_classes
from bn_ablate.data.imports.pictures import Pictures, endings

UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""What `zipfile` raises for a file that is damaged, and, as `RuntimeError`, for one that needs a password or is packed
in a way that it does not know."""


class Files(NamedTuple):
    """Files below a place, by their names there, and how one is read."""

    names: list[str]
    read: Callable[[str], bytes]


class Layout(NamedTuple):
    """Names of images and their classes in each split, and what was left out, a sentence each."""

    splits: dict[str, list[tuple[str, str]]]
    remarks: tuple[str, ...]


def class_folders(path: Path, asked: Asked, progress: Progress) -> Found:
    """The images in the class folders of a folder or a zip file.

    Raises:
        DataError: a file cannot be read, images differ in size and no `resize` is asked for, or there are no classes.
        ImportArgumentError: an option is not for images.
    """
    asked.only(str(path), "one of images in class folders", "resize")
    with _files(path) as files:
        plan = layout(files.names, str(path))
    labels = {split: [label for _, label in images] for split, images in plan.splits.items()}
    classes, numbers = number_classes(labels, str(path))

    def raw(split: str) -> Iterator[tuple[str, bytes]]:
        with _files(path) as files:
            for name, _ in plan.splits[split]:
                yield name, files.read(name)

    sizes = {split: len(images) for split, images in plan.splits.items()}
    pictures = Pictures(f"{path}/", sizes, raw, asked.resize)
    shape, sha256 = pictures.survey(progress)

    def examples(split: str) -> Iterator[tuple[np.ndarray, int]]:
        yield from zip(pictures.decoded(split, shape[-1]), numbers[split].tolist(), strict=True)

    return Found(shape, np.uint8, classes, sizes, examples, sha256, plan.remarks)


def layout(names: Sequence[str], where: str) -> Layout:
    """Which class and split each image belongs to, by the names of the folders it is in.

    Folders that everything lies in say nothing. Below them are `train` and `test`, or the classes. What is hidden is
    passed over; other folders beside `train`, and files that are no images, are left out with a remark.

    Raises:
        DataError: an image is in no folder of a class, or there is none.
    """
    seen = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)]
    ends = endings()
    images = sorted(name for name in seen if PurePosixPath(name).suffix.lower() in ends)
    if not images:
        raise DataError(f"{where} holds no images; they are expected in a folder for each class, as cats/1.png")
    remarks = []
    if others := len(seen) - len(images):
        remarks.append(
            f"{others:,} {'file that is no image was' if others == 1 else 'files that are no images were'} left out"
        )
    parts = {name: PurePosixPath(name).parts for name in images}
    while len({p[0] for p in parts.values()}) == 1 and min(map(len, parts.values())) > 2:
        parts = {name: p[1:] for name, p in parts.items()}
    split_of = {name: SPLITS.get(p[0].lower(), "") for name, p in parts.items()}
    if not any(split_of[name] == "train" and len(p) > 2 for name, p in parts.items()):
        split_of = dict.fromkeys(images, "train")  # no folder train that holds folders: these are classes
    else:
        left = Counter(parts[name][0] for name, split in split_of.items() if not split)
        remarks += [
            f"{n:,} images in {folder} were left out: examples come from train and test" for folder, n in left.items()
        ]
        parts = {name: p[1:] for name, p in parts.items() if split_of[name]}
    if loose := next((name for name, p in parts.items() if len(p) < 2), None):
        raise DataError(f"{where}/{loose} lies in no folder of a class; each image is expected in one, as cats/1.png")
    splits: dict[str, list[tuple[str, str]]] = {}
    for split in ("train", "test"):
        if of := [(name, p[0]) for name, p in parts.items() if split_of[name] == split]:
            splits[split] = of
    return Layout(splits, tuple(remarks))


@contextmanager
def _files(path: Path) -> Iterator[Files]:
    """The files below a folder or in a zip file, in the order of their names, while the block lasts."""
    if path.is_dir():
        found = [Path(folder, file) for folder, _, files in os.walk(path, followlinks=True) for file in files]
        yield Files(
            sorted(file.relative_to(path).as_posix() for file in found), lambda name: (path / name).read_bytes()
        )
        return
    try:
        with zipfile.ZipFile(path) as archive:

            def read(name: str) -> bytes:
                try:
                    return archive.read(name)
                except UNREADABLE as error:
                    raise DataError(f"{path}/{name} cannot be read: {error}") from error

            yield Files(sorted(info.filename for info in archive.infolist() if not info.is_dir()), read)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} is not a whole zip file ({error})") from error
