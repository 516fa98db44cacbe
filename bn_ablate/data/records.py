"""From a prepared TFDS folder to arrays, and the cache of these arrays beside it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from bn_ablate.config.architectures import Extent
from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.data.dataset import DataError, Dataset, as_images, fingerprint, first_not_finite

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

PAIR = ("image", "label")
"""The features that are taken where a data set does not say which ones belong together."""
_KINDS = (np.uint8, np.float32)
_CHUNK = 1024  # records decoded at once
_FILES = ("images.npy", "labels.npy", "facts.json")
_SUMS = "SHA256SUMS"
CACHE_FORMAT = 1
FACTS = {"name": str, "version": str, "n_classes": int, "n_official_train": int, "sha256": str}
"""What `facts.json` says of a data set, besides its format and who wrote it."""


def open_arrays(folder: Path) -> Dataset:
    """The data set prepared in `folder`, memory-mapped from `folder/arrays`, which is made when it is not there.

    Decoding records takes seconds to minutes, so it is done once. The cache is `images.npy`, `labels.npy`, `facts.json`
    with the rest of `Dataset`, and `SHA256SUMS` in the form of the command `sha256sum`. It appears whole or not at all,
    and is checked whenever it is opened.

    Raises:
        DataError: The records cannot be read as labelled images or vectors of one size, or the cache is damaged.
    """
    cache = folder / "arrays"
    if not cache.is_dir():
        try:
            _store(folder, cache)
        except OSError as error:
            dataset = read_records(folder)
            warnings.warn(f"{cache} cannot be written, so each run decodes {dataset.name} anew ({error})", stacklevel=2)
            return dataset
    return _open(cache)


def read_records(folder: Path, file: Path | None = None) -> Dataset:
    """Every example of the official `train` and `test` splits (if there) of a prepared TFDS data set.

    The image is the first of the supervised keys, or the feature `image`: uint8, or float32 with finite values, all of
    one size, two or three axes; or a vector, of one. The label is the second, or the feature `label`: a `ClassLabel`.
    With a `file`, images are written into it as `.npy` as they are decoded, and mapped from there; else they are held.

    Raises:
        DataError: The data set is not of that kind, or its files are damaged.
        OSError: `file` cannot be written.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        info = builder.info
        image_key, label_key = _keys(info, folder)
        sources = [builder.as_data_source(split) for split in ("train", "test") if split in info.splits]
        first = sources[0][0][image_key]
    except (RuntimeError, ValueError, OSError, IndexError) as error:
        raise _unreadable(folder, error) from error
    shape = (sum(map(len, sources)), *as_images(first[np.newaxis]).shape[1:])
    labels = np.empty(shape[0], np.int32)
    decoded = _decoded(sources, (image_key, label_key), first.shape, folder)
    if file:
        with file.open("wb") as images_file:  # written, not mapped: a disk that is full is then an error to speak of
            header = {"descr": dtype_to_descr(first.dtype), "fortran_order": False, "shape": shape}
            write_array_header_1_0(images_file, header)
            for place, some, their_labels in decoded:
                images_file.write(some.data)
                labels[place] = their_labels
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    else:
        images = np.empty(shape, first.dtype)
        for place, some, their_labels in decoded:
            images[place], labels[place] = some, their_labels
    n_classes = info.features[label_key].num_classes
    if labels.min() < 0 or labels.max() >= n_classes:
        raise DataError(f"{folder} has examples without a label, or with one outside 0 to {n_classes - 1}")
    if (bad := first_not_finite(images)) is not None:
        raise DataError(f"{folder} has values that are not finite numbers, first in example {bad}")
    images.setflags(write=False)
    labels.setflags(write=False)
    return Dataset(
        name=info.name,
        version=str(info.version),
        images=images,
        labels=labels,
        n_classes=n_classes,
        n_official_train=len(sources[0]),
        sha256=fingerprint(images, labels),
    )


def extent(folder: Path) -> Extent:
    """How large the data set prepared in `folder` is: from its cache, or else from the first record, with no decoding.

    Raises:
        DataError: as in `open_arrays`.
    """
    if (folder / "arrays").is_dir():
        return open_arrays(folder).extent
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(folder)
        image_key, label_key = _keys(builder.info, folder)
        splits = builder.info.splits
        image = builder.as_data_source("train")[0][image_key]
    except (RuntimeError, ValueError, OSError, IndexError) as error:
        raise _unreadable(folder, error) from error
    n_examples = sum(splits[split].num_examples for split in ("train", "test") if split in splits)
    classes = builder.info.features[label_key].num_classes
    return Extent(as_images(image[np.newaxis]).shape[1:], classes, n_examples, image.itemsize)


class Described(NamedTuple):
    """What a prepared data set says of itself, and why it cannot be used; nothing where it can."""

    sizes: tuple[int, ...] = ()
    """Examples of its train split, and of its test split where it has one."""
    image: tuple[int | None, ...] = ()
    """The shape of an example; None for what may differ."""
    classes: int = 0
    refusal: str = ""


def describe(folder: Path) -> Described:
    """What the data set prepared in `folder` says of itself, with nothing of it decoded or checked."""
    try:
        if (folder / "arrays").is_dir():  # it has been read
            facts = json.loads((folder / "arrays" / "facts.json").read_text())
            images = np.load(folder / "arrays" / "images.npy", mmap_mode="r", allow_pickle=False)
            train, test = facts["n_official_train"], len(images) - facts["n_official_train"]
            return Described((train, test) if test else (train,), images.shape[1:], facts["n_classes"])
        import tensorflow_datasets as tfds

        info = tfds.builder_from_directory(folder).info
        if refusal := _unfit(info):
            return Described(refusal=refusal)
        image_key, label_key = info.supervised_keys or PAIR
        sizes = tuple(info.splits[split].num_examples for split in ("train", "test") if split in info.splits)
        return Described(sizes, info.features[image_key].shape, info.features[label_key].num_classes)
    except Exception as error:  # whatever TFDS makes of a description that it cannot read
        return Described(refusal=f"its description cannot be read ({error})")


def _keys(info: tfds.core.DatasetInfo, folder: Path) -> tuple[str, str]:
    """The names of the image and the label feature."""
    if reason := _unfit(info):
        raise DataError(
            f"{folder} is not a data set to train on, which has a train split, an image or a vector of uint8 or "
            f"float32, and a class label: {reason}"
        )
    return info.supervised_keys or PAIR


def _unfit(info: tfds.core.DatasetInfo) -> str:
    """What keeps a data set from being one of labelled images or vectors, or nothing."""
    import tensorflow_datasets as tfds

    keys = info.supervised_keys or PAIR
    if "train" not in info.splits:
        return f"it has no train split, but {', '.join(info.splits) or 'none'}"
    if len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        return f"its examples are not pairs of an image and a label, but {keys}"
    for key in keys:
        if key not in info.features:
            return f"it has no {key} among its features, which are {', '.join(sorted(info.features))}"
    image, label = (info.features[key] for key in keys)
    shape, kind = getattr(image, "shape", None), getattr(image, "np_dtype", None)
    if not isinstance(shape, tuple) or len(shape) not in (1, 2, 3):
        return f"its {keys[0]} is no image, of two or three axes, and no vector, but {image!r}"
    if kind not in _KINDS:
        return f"its images are {np.dtype(kind).name if kind else 'of no type'}, not uint8 or float32"
    if not isinstance(label, tfds.features.ClassLabel) or not label.num_classes:
        return f"its {keys[1]} is no class, but {label!r}"
    return ""


def _decoded(
    sources: Sequence[Any], keys: tuple[str, str], shape: tuple[int, ...], folder: Path
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """The images of `sources`, all of this `shape`, and their labels, a stretch at a time, with its place."""
    image_key, label_key = keys
    at = 0
    for source in sources:
        for begin in range(0, len(source), _CHUNK):
            try:
                some = source.__getitems__(range(begin, min(begin + _CHUNK, len(source))))
            except (RuntimeError, ValueError, OSError) as error:
                raise _unreadable(folder, error) from error
            for i, example in enumerate(some, begin):
                if example[image_key].shape != shape:
                    raise DataError(
                        f"example {i} of {source.split} is {example[image_key].shape}, the first is {shape}: "
                        "images of different sizes are not supported"
                    )
            images = np.stack([example[image_key] for example in some])
            yield slice(at, at + len(some)), as_images(images), np.array([example[label_key] for example in some])
            at += len(some)


def _unreadable(folder: Path, error: Exception) -> DataError:
    return DataError(f"{folder} cannot be read ({error}); delete it and prepare the data set again")


def _store(folder: Path, cache: Path) -> None:
    """Decode what is prepared in `folder` into `cache`."""
    with tempfile.TemporaryDirectory(prefix="arrays.", dir=cache.parent) as scratch:
        whole = Path(scratch) / "whole"
        whole.mkdir()
        dataset = read_records(folder, whole / "images.npy")
        facts = {"format": CACHE_FORMAT, "written_by": WRITTEN_BY}
        facts |= {name: getattr(dataset, name) for name in FACTS}
        np.save(whole / "labels.npy", dataset.labels, allow_pickle=False)
        (whole / "facts.json").write_text(json.dumps(facts, indent=2) + "\n")
        (whole / _SUMS).write_text("".join(f"{_sha256(whole / file)}  {file}\n" for file in _FILES))
        try:
            whole.rename(cache)
        except OSError:
            if not cache.is_dir():  # else another process was first
                raise


def _open(cache: Path) -> Dataset:
    remedy = f"delete the folder {cache}; it is made again from the prepared data"
    by = ""
    try:
        sums = (cache / _SUMS).read_text().splitlines()
        for file in _FILES:
            if f"{_sha256(cache / file)}  {file}" not in sums:
                raise DataError(f"{cache / file} is damaged, it does not match {_SUMS}; {remedy}")
        facts = json.loads((cache / "facts.json").read_text())
        by = f", written by {facts.pop('written_by', 'an earlier version')}" if isinstance(facts, dict) else ""
        images, labels = (
            np.load(cache / file, mmap_mode="r", allow_pickle=False) for file in ("images.npy", "labels.npy")
        )
        if wrong := _wrong(facts, images, labels):
            raise DataError(f"{cache}{by}, {wrong}; {remedy}")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{cache}{by} cannot be read ({error}); {remedy}") from error
    return Dataset(images=images, labels=labels, **{name: facts[name] for name in FACTS})


def _wrong(facts: Any, images: np.ndarray, labels: np.ndarray) -> str | None:
    """What of a cache, whose files are as they were written, is not what a `Dataset` must be; None where all is."""
    if not isinstance(facts, dict):
        return "has facts.json that is no table"
    if (found := facts.pop("format", CACHE_FORMAT)) != CACHE_FORMAT:
        return f"has format {found!r}, and this version reads {CACHE_FORMAT}"
    if strange := sorted(facts.keys() ^ FACTS.keys()):
        return f"{'has the unknown key' if strange[0] in facts else 'lacks the key'} {strange[0]!r} in facts.json"
    for name, kind in FACTS.items():
        if type(facts[name]) is not kind:
            return f"has {facts[name]!r} for {name} in facts.json, where a value of type {kind.__name__} should be"
    if images.dtype not in _KINDS or images.ndim != 4:
        return f"has images of type {images.dtype} and shape {images.shape}, where uint8 of four axes should be"
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        return f"has labels of type {labels.dtype} and shape {labels.shape}, where {len(images)} of int32 should be"
    if not 0 < facts["n_official_train"] <= len(labels):
        return f"has {facts['n_official_train']} official training examples of {len(labels)}"
    if labels.min() < 0 or labels.max() >= facts["n_classes"]:
        return f"has labels from {labels.min()} to {labels.max()}, outside 0 to {facts['n_classes'] - 1}"
    if fingerprint(images, labels) != facts["sha256"]:
        return "has images and labels that are not those of the SHA-256 in facts.json"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
