"""Finished shards, read back: each file as it was written, with the columns and the rows that it must have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from bn_ablate.config.sources import source_hash
from bn_ablate.results.files import TEMPORARY, ResultsError, first_line, is_litter, read_table, sha256_of
from bn_ablate.results.origins import RECORD, Held, Record, read_record
from bn_ablate.results.recording.columns import KEYS, misfit, table_schemas
from bn_ablate.results.weights import WEIGHTS, LaneWeights, read_weights

if TYPE_CHECKING:
    import polars as pl

CHECKSUMS = "checksums.json"
NEEDED = frozenset((*KEYS, "seed", "status", "diverged_at", "low", "high", "counts"))
"""The columns that no shard may lack, whatever its code knew to measure."""


def held_in(shards: Path, known: Mapping[Path, Held] = MappingProxyType({})) -> list[Held]:
    """Every finished shard in the folder `shards`; those `known` by their folders are not read again.

    An empty folder, which holds nothing, is none, and neither is what a system leaves lying about.

    Raises:
        ResultsError: one is damaged, or is not what this version reads.
    """
    found = shards.iterdir() if shards.is_dir() else ()
    folders = (p for p in found if p.is_dir() and not p.name.startswith(TEMPORARY) and not is_litter(p))
    return [known.get(folder) or _held(folder) for folder in sorted(folders) if any(folder.iterdir())]


def rows_of(folder: Path, table: str, record: Record | None, lanes: list[str]) -> pl.DataFrame:
    """The rows of `lanes` in a table of the shard in `folder`, each of which has some.

    Raises:
        ResultsError: it is damaged, or is not what this version reads.
    """
    import polars as pl

    rows = _read(folder, table, record).filter(pl.col("lane_id").is_in(lanes))
    if missing := set(lanes) - set(rows["lane_id"]):
        raise _damaged(folder / f"{table}.parquet", f"has no rows of the lane {min(missing)}", record)
    return rows


def weights_of(held: Held, lane: str, step: int, averaged: bool = False) -> LaneWeights | None:
    """The weights of a lane of the shard `held` after `step` steps, or their average; None where they were not kept.

    Raises:
        ResultsError: their file is damaged, or is not what this version reads.
    """
    file = held.folder / WEIGHTS
    if not file.exists() and file.name not in _checksums(file):
        return None
    _check(file)
    try:
        return read_weights(file, lane, step, averaged)
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(file, f"cannot be read ({error})", held.record) from None


def _held(folder: Path) -> Held:
    """What the shard in `folder` is."""
    record = _record(folder)
    return Held(folder, tuple(_read(folder, "lanes", record)["lane_id"]), record)


def _read(folder: Path, table: str, record: Record | None) -> pl.DataFrame:
    """A table of the shard in `folder`, which is of `record`.

    One of other code may lack measures that were not known then, and have others.
    """
    import polars as pl

    file, schema = folder / f"{table}.parquet", table_schemas(record.measures if record else ())[table]
    _check(file)
    same = record is not None and record.provenance.code == source_hash()
    try:
        rows = read_table(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damaged(file, f"cannot be read ({error})", record) from None
    measures = set(schema) - NEEDED
    if wrong := misfit(rows, schema, () if same else measures | (set(rows.columns) - set(schema))):
        raise _damaged(file, wrong, record)
    return rows.select(name for name in schema if name in rows.columns)


def _record(folder: Path) -> Record | None:
    """Where the shard in `folder` comes from; None where it was written before that was stored."""
    file = folder / RECORD
    if not file.exists() and file.name not in _checksums(file):
        return None
    _check(file)
    try:
        return read_record(file)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, f"is none that this version reads ({first_line(error)})") from None


def _check(file: Path) -> None:
    """Refuse a file of a shard that is not as it was written."""
    try:
        if sha256_of(file) != _checksums(file)[file.name]:
            raise _damaged(file, "its content has changed since it was written")
    except (OSError, KeyError) as error:
        raise _damaged(file, f"cannot be read ({error})") from None


def _checksums(file: Path) -> dict[str, str]:
    """The checksums of the files of the shard that `file` is in."""
    try:
        sums = json.loads((file.parent / CHECKSUMS).read_text(encoding="utf-8"))
        if isinstance(sums, dict):
            return sums
        raise ValueError(f"{CHECKSUMS} is no table")
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(file, f"cannot be read ({error})") from None


def _damaged(file: Path, why: str, record: Record | None = None) -> ResultsError:
    """The error that a file of a shard is not what it should be, with its remedy."""
    by = f"; written by {record.written_by}" if record else ""
    return ResultsError(
        f"{file}: {why}{by}; delete the folder {file.parent} and run again: only its lanes are trained anew"
    )
