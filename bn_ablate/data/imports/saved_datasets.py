"""Data sets that `save_to_disk` of Hugging Face's `datasets` has written: Arrow files with their description."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl

from bn_ablate.data.dataset import DataError
from bn_ablate.data.imports.found import SPLITS, Asked, Found, Progress, sha256_of
from bn_ablate.data.imports.labelled_tables import labelled


def is_saved_dataset(folder: Path) -> bool:
    """Whether the folder is one that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` has written."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def saved_dataset(path: Path, asked: Asked, progress: Progress) -> Found:
    """The examples of such a folder, whose columns are those of a table.

    The label is the column that the data set says is a class, if there is one, and classes have the names that it says.

    Raises:
        DataError: a file cannot be read, there is no train split, or as in `labelled`.
        ImportArgumentError: as in `labelled`.
    """
    try:
        listed = path / "dataset_dict.json"
        splits = json.loads(listed.read_text())["splits"] if listed.is_file() else []
        folders = {SPLITS.get(split, split): path / split for split in splits} or {"train": path}
        if "train" not in folders:
            raise DataError(f"{path} has no split train, but {', '.join(folders)}")
        features = json.loads((folders["train"] / "dataset_info.json").read_text())["features"]
        files = {
            split: [folder / one["filename"] for one in json.loads((folder / "state.json").read_text())["_data_files"]]
            for split, folder in folders.items()
            if split in ("train", "test")
        }
        frames = {split: pl.concat([pl.read_ipc_stream(file) for file in of]) for split, of in files.items()}
    except (pl.exceptions.PolarsError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read as a data set saved by `datasets`: {error}") from error
    classes = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    label = asked.label or (classes[0] if len(classes) == 1 else None)
    sha256 = sha256_of(*(file for of in files.values() for file in of))
    found = labelled(frames, str(path), replace(asked, label=label), progress, sha256)
    if label in classes:
        names = features[label]["names"]
        if odd := next((label for label in found.classes if not 0 <= int(label) < len(names)), None):
            raise DataError(
                f"{path} has the label {odd}, and names for 0 to {len(names) - 1}: not all examples have one"
            )
        found = replace(found, classes=tuple(names[int(label)] for label in found.classes))
    left = [split for split in folders if split not in frames]
    return replace(
        found, remarks=tuple(f"the split {name} was left out: examples come from train and test" for name in left)
    )
