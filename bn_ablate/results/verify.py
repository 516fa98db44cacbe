"""All that can be held to something else in a results folder: files, tables, shards, origins and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bn_ablate.config.given import place
from bn_ablate.results.checkpoints import damaged as damaged_checkpoints
from bn_ablate.results.files import ResultsError
from bn_ablate.results.finished import held_in
from bn_ablate.results.manifest import MANIFEST, read_manifest
from bn_ablate.results.origins import Held, Record
from bn_ablate.results.published_tables import gathered
from bn_ablate.results.reader import Results, open_results
from bn_ablate.results.recording.columns import ORIGIN, table_schemas
from bn_ablate.results.seal import damage
from bn_ablate.results.standing import at_work, unfinished

if TYPE_CHECKING:
    import polars as pl


def verify(path: str | Path, data_dir: Path | None = None) -> list[str]:
    """What is wrong with the results folder `path`, a sentence each; nothing where all is as it was written.

    The files are held to the manifest, the published tables to the shards, the origins that the manifest lists to those
    that the shards have, and the data set on this machine to the manifest. `data_dir` is where else it may lie.

    Raises:
        ResultsError: there is no readable manifest.

    Examples:
        >>> bn.verify("results/ablate")
        []
    """
    path = place(path)
    manifest = read_manifest(path)
    if problems := [*at_work(path), *unfinished(manifest), *damage(path), *damaged_checkpoints(path)]:
        return problems
    try:
        results = open_results(path)
        return [*_contents(results), *_data(results, data_dir)]
    except (ResultsError, ValueError) as error:
        return [str(error).removeprefix(f"{path}/")]


def _contents(results: Results) -> Iterator[str]:
    """Where tables and manifest are not what the shards hold."""
    _ = results.study, results.claims
    held = held_in(results.path / "shards")
    used: dict[str, Held] = {}
    records = {shard.folder: shard.record for shard in held}
    of_lane: dict[str, list[Held]] = {}
    for shard in held:
        for lane in shard.lanes:
            of_lane.setdefault(lane, []).append(shard)
    origins = results.manifest.get("origins", [])

    @cache
    def is_of(shard: Path, origin: int) -> bool:
        return _is_of(records[shard], origins[origin])

    for lane, origin in _lanes_with_origins(results):
        there = of_lane.get(lane, [])
        fitting = [shard for shard in there if origin is None or is_of(shard.folder, origin)]
        if not fitting:
            yield (
                f"lanes.parquet: no shard holds the lane {lane}"
                + (" with the origin that the manifest gives it" if there else "")
                + "; `bn-ablate run` trains it"
            )
            return
        used[lane] = fitting[0]
    in_order = results.networks.select("lane_id").with_row_index("_row")
    for table, schema in table_schemas(results.study.column_measures).items():
        published = results.networks.lazy() if table == "lanes" else results.scan(table)
        if not _the_same(published.select(list(schema)), gathered(table, schema, in_order, used)):
            _ = getattr(results, table)  # says more where they are no rows of such a table
            yield f"{table}.parquet: is not what the shards hold; delete it, and `bn-ablate run` writes it again"


def _the_same(published: pl.LazyFrame, pieces: Iterator[pl.DataFrame]) -> bool:
    """Whether a published table has the rows of `pieces` in their order, and no others; a piece is read at a time."""
    import polars as pl

    at = 0
    for piece in pieces:
        if not published.slice(at, piece.height).collect().equals(piece):
            return False
        at += piece.height
    return bool(published.select(pl.len()).collect().item() == at)


def _lanes_with_origins(results: Results) -> Iterator[tuple[str, int | None]]:
    """Each published lane with the place of its origin in the manifest; None in results from before there were any."""
    lanes, origins = results.networks, results.manifest.get("origins")
    places = lanes[ORIGIN] if ORIGIN in lanes.columns else [0] * lanes.height
    for lane, origin in zip(lanes["lane_id"], places, strict=True):
        if origins is not None and not 0 <= origin < len(origins):
            raise ResultsError(f"{results.path / MANIFEST}: lists no origin {origin}, which the lane {lane} is of")
        yield lane, None if origins is None else origin


def _is_of(record: Record | None, origin: dict[str, Any]) -> bool:
    """Whether a shard with that record is of an origin that a manifest lists."""
    said = asdict(record.provenance) if record else {}
    return all(said.get(key) == value for key, value in origin.items() if key not in ("lanes", "kept", "git", "seeds"))


def _data(results: Results, data_dir: Path | None) -> list[str]:
    """Where the data set on this machine, or what the shards say of theirs, is not what the manifest says."""
    from bn_ablate.data import damage as damaged_data

    said = results.manifest.get("data", {})
    if missing := {"name", "sha256"} - said.keys():
        return [f"{MANIFEST}: says nothing of the data's {' and '.join(sorted(missing))}"]
    if said["name"] != results.study.data.name:
        return [f"{MANIFEST}: names the data set {said['name']!r}, and its study {results.study.data.name!r}"]
    of_lanes = {origin["data"] for origin in results.manifest.get("origins", ())} - {None, said["sha256"]}
    if of_lanes:
        return [f"{MANIFEST}: names data with SHA-256 {said['sha256']}, and lanes trained on {', '.join(of_lanes)}"]
    return damaged_data(said["name"], said["sha256"], data_dir)
