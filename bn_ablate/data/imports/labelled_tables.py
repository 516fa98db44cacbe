"""Tables with a column of labels: CSV, TSV and Parquet.

The other columns are numbers, and a row of them is a vector; or there is one, of encoded images, as Hugging Face stores
them in Parquet.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32

from bn_ablate.config.errors import nearest, show
from bn_ablate.data.dataset import DataError
from bn_ablate.data.imports.found import (
    Asked,
    Found,
    ImportArgumentError,
    Progress,
    number_classes,
    sha256_of,
    whole_labels,
)
from bn_ablate.data.imports.pictures import Pictures


def table(path: Path, asked: Asked, progress: Progress) -> Found:
    """The rows of a CSV, TSV or Parquet file, all of them to train on.

    Raises:
        DataError: the file cannot be read, or as in `labelled`.
        ImportArgumentError: as in `labelled`.
    """
    try:
        if path.suffix.lower() == ".parquet":
            frame = pl.read_parquet(path)
        else:
            separator = "\t" if path.suffix.lower() == ".tsv" else ","
            frame = pl.read_csv(path, separator=separator, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    return labelled({"train": frame}, str(path), asked, progress, sha256_of(path))


def labelled(frames: dict[str, pl.DataFrame], where: str, asked: Asked, progress: Progress, sha256: str) -> Found:
    """The rows of the table of each split, with the labels in column `asked.label`.

    Raises:
        DataError: a value is missing, no number, or not finite in float32; `where` names the source, and it the row.
        ImportArgumentError: an option names no column, or there is none for the labels.
    """
    columns = frames["train"].columns
    have = f"Its columns are {', '.join(columns[:20])}{', …' if len(columns) > 20 else ''}"
    if asked.label is None:
        raise ImportArgumentError(f"{where} is a table: --label COLUMN says which column holds the classes. {have}")
    for option, name in (("label", asked.label), *(("drop", name) for name in asked.drop)):
        if name not in columns:
            meant = nearest(name, columns) or "."
            raise ImportArgumentError(f"{where}: --{option} {name} is none of its columns{meant} {have}")
    taken = [name for name in columns if name != asked.label and name not in asked.drop]
    if not taken:
        raise ImportArgumentError(f"{where} has no column besides its labels")
    at = {split: where if len(frames) == 1 else f"{where}, {split}" for split in frames}
    labels = {split: _labels(frame[asked.label], at[split]) for split, frame in frames.items()}
    classes, numbers = number_classes(labels, f"{where}, column {asked.label}:")
    sizes = {split: frame.height for split, frame in frames.items()}
    if pictures := [name for name in taken if _holds_images(frames["train"].schema[name])]:
        if others := [name for name in taken if name != pictures[0]]:
            leave = " ".join(f"--drop {name}" for name in others)
            raise ImportArgumentError(
                f"{where} has images in column {pictures[0]}, and other columns beside it: {leave}"
            )
        asked.only(where, "a table of images", "label", "drop", "resize")
        images = Pictures(f"{where}, ", sizes, lambda split: _encoded(frames[split][pictures[0]], split), asked.resize)
        shape, _ = images.survey(progress)

        def decoded(split: str) -> Iterator[tuple[np.ndarray, int]]:
            yield from zip(images.decoded(split, shape[-1]), numbers[split].tolist(), strict=True)

        return Found(shape, np.uint8, classes, sizes, decoded, sha256)

    asked.only(where, "a table of numbers", "label", "drop")
    vectors = {split: _vectors(frame.select(taken), at[split]) for split, frame in frames.items()}

    def rows(split: str) -> Iterator[tuple[np.ndarray, int]]:
        yield from zip(vectors[split], numbers[split].tolist(), strict=True)

    return Found((len(taken),), np.float32, classes, sizes, rows, sha256)


def _labels(column: pl.Series, where: str) -> list[Any]:
    if column.null_count():
        raise DataError(f"{where}, row {_first(column.is_null())}: the label, in column {column.name}, is missing")
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum)):
        raise DataError(f"{where}: column {column.name} is of type {column.dtype}; labels are whole numbers or words")
    return whole_labels(column.to_numpy(), f"{where}, column {column.name}")


def _vectors(frame: pl.DataFrame, where: str) -> Float32[np.ndarray, "rows columns"]:
    columns = []
    for column in frame:
        values = column
        if column.dtype == pl.String:  # one word among numbers makes a column of a CSV file one of words
            values = column.cast(pl.Float64, strict=False)
            words = values.is_null() & column.is_not_null()
            if words.all():
                raise DataError(
                    f"{where}: column {column.name} holds words, as {show(column[0])}; write numbers for them, or "
                    f"leave the column out with --drop {column.name}"
                )
            if words.any():
                row = _first(words)
                raise DataError(f"{where}, row {row}: {show(column[row - 1])} in column {column.name} is no number")
        elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise DataError(f"{where}: column {column.name} is of type {column.dtype}, and numbers are needed")
        if values.null_count():
            row = _first(values.is_null())
            raise DataError(
                f"{where}, row {row}: the value in column {column.name} is missing; fill or remove such rows"
            )
        with np.errstate(over="ignore"):
            columns.append(values.to_numpy().astype(np.float32))
        if (odd := np.flatnonzero(~np.isfinite(columns[-1]))).size:
            row, value = odd[0] + 1, values[int(odd[0])]
            raise DataError(f"{where}, row {row}: {value} in column {column.name} is no finite number of float32")
    return np.stack(columns, axis=1)


def _first(flags: pl.Series) -> int:
    """The number of the first row that has the flag, counted from 1 after the header."""
    return int(np.flatnonzero(flags.to_numpy())[0]) + 1


def _holds_images(kind: pl.DataType) -> bool:
    return kind == pl.Binary or (isinstance(kind, pl.Struct) and any(field.name == "bytes" for field in kind.fields))


def _encoded(column: pl.Series, split: str) -> Iterator[tuple[str, bytes]]:
    for i, value in enumerate(column, 1):
        raw = value["bytes"] if isinstance(value, dict) else value
        if raw is None:
            raise DataError(f"row {i} of {split} has no image in column {column.name}, but at best the name of a file")
        yield f"row {i} of {split}", raw
