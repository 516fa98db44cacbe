"""The store: finished shards, each an atomic folder, and the study's tables made from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.plan import Plan
from bn_ablate.results.files import (
    TEMPORARY,
    ResultsError,
    sha256_of,
    sweep,
    whole_folder,
    write_bytes,
    write_table,
    write_tables,
    write_text,
)
from bn_ablate.results.finished import CHECKSUMS, held_in
from bn_ablate.results.lock import LOCK, locked
from bn_ablate.results.manifest import MANIFEST, MANIFEST_FORMAT, read_manifest
from bn_ablate.results.origins import Held, Record, by_shard, holders, origins_of, said_of
from bn_ablate.results.provenance import Provenance
from bn_ablate.results.published_tables import gathered, lanes_of, planned_rows
from bn_ablate.results.reader import EXTENSIONS
from bn_ablate.results.recording.columns import ORIGIN, table_schemas
from bn_ablate.results.reuse import Old, usable
from bn_ablate.results.seal import refuse_links, seal
from bn_ablate.results.weights import KeptWeights

if TYPE_CHECKING:
    import polars as pl


class Store:
    """The results folder of one study, `results/<study>/`, as the run writes it.

    A shard, once it is there, is finished and never written again. `publish` makes the tables that people and tools
    read out of all shards that hold lanes of the plan; shards of lanes that have left the plan stay, for when they come
    back.
    """

    def __init__(self, path: Path, here: Provenance | None = None, old: Old = "keep") -> None:
        """`here` is the provenance of what is trained now; `old`, what becomes of lanes of other code or versions."""
        self.path = path
        self.here = here
        self.old = old
        self._known: dict[Path, Held] = {}

    @property
    def shards(self) -> Path:
        """The folder of the finished shards."""
        return self.path / "shards"

    def open(self) -> None:
        """Make the folder.

        Raises:
            ResultsError: the folder cannot be made or written to, or a link is in it.
        """
        refuse_links(self.path)
        try:
            self.shards.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._not_written(error) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of the folder, which is made and rid of what an interrupted run left half-written.

        Nothing is removed without the lock: what is half-written then is another process's, and in the making.

        Raises:
            ResultsError: another process holds the lock, or the folder cannot be made or written to.
        """
        with locked(self.path):
            self.open()
            try:
                sweep(self.path)
                for folder in self.shards.iterdir():
                    if folder.is_dir() and not any(folder.iterdir()):
                        folder.rmdir()
            except OSError as error:
                raise self._not_written(error) from error
            yield

    def _not_written(self, error: OSError) -> ResultsError:
        return ResultsError(
            f"{self.path}: cannot be written to: {error.strerror}; choose another folder with --results"
        )

    def keep_extensions(self, sources: dict[str, bytes]) -> None:
        """Keep the files of a user's own parts beside the lanes that were trained with them, for `verify`.

        Raises:
            ResultsError: they cannot be written.
        """
        for name, content in sources.items():
            file = self.path / EXTENSIONS / name
            if not file.exists():
                write_bytes(file, content)

    def littered(self) -> bool:
        """Whether a process that was killed has left something half-written, or its lock."""
        return (self.path / LOCK).exists() or any(self.path.rglob(f"{TEMPORARY}*"))

    def clear(self) -> None:
        """Remove all that the folder holds, except its lock.

        Raises:
            ResultsError: something cannot be removed.
        """
        try:
            for part in self.path.iterdir():
                if part.is_dir() and not part.is_symlink():
                    shutil.rmtree(part)
                elif part.name != LOCK:
                    part.unlink()
        except OSError as error:
            raise ResultsError(f"{self.path}: cannot be cleared: {error.strerror}") from error

    def held(self) -> list[Held]:
        """Every finished shard, with its lanes and where it comes from; none is read twice for it, since none changes.

        Raises:
            ResultsError: one is damaged, or is not what this version writes.
        """
        found = held_in(self.shards, self._known)
        self._known = {shard.folder: shard for shard in found}
        return found

    def usable(self, plan: Plan) -> dict[str, Held]:
        """The finished lanes of `plan`, with the shard that holds each, that may stand beside those trained now.

        Raises:
            ResultsError: a shard is damaged, of other data, or of other code or versions, or another kind of device
                than other lanes of a seed, where those are refused.
        """
        planned = {lane.id: lane.seed for lane in plan.rows}
        found = holders(self.held(), planned, self.here)
        return usable(found, planned, self.here, self.old, self.path, self._data_of_manifest()) if self.here else found

    def _data_of_manifest(self) -> str | None:
        """The SHA-256 of the data that the manifest names: all there is of it where shards have no provenance."""
        try:
            return str(read_manifest(self.path)["data"]["sha256"])
        except (ResultsError, KeyError):
            return None

    def add_shard(
        self, name: str, tables: dict[str, pl.DataFrame], record: Record, weights: KeptWeights | None = None
    ) -> None:
        """Store the finished lanes of one shard: `lanes`, `history`, `layers` and `histograms`, and their `record`.

        Beside them go the `weights` that were kept of them.

        Raises:
            ResultsError: they cannot be written, or the folder has vanished.
        """
        self._must_be_there()
        target = self.shards / name
        if target.exists():
            return
        with whole_folder(target) as folder:
            files = [record.write(folder)]
            for table, schema in table_schemas(record.measures).items():
                files.append(folder / f"{table}.parquet")
                write_table(files[-1], tables[table].select(list(schema)).cast(schema))  # type: ignore[arg-type]
            if weights:
                files.append(weights.write(folder))
            write_text(folder / CHECKSUMS, json.dumps({file.name: sha256_of(file) for file in files}, indent=1))

    def drop_superseded(self) -> None:
        """Remove the shards of other code, versions or data all of whose lanes have been trained anew.

        Raises:
            ResultsError: one cannot be removed.
        """
        held = self.held()
        best = holders(held, {lane for shard in held for lane in shard.lanes}, self.here)
        used = {shard.folder for shard in best.values()}
        for shard in held:
            if shard.folder not in used:
                try:
                    shutil.rmtree(shard.folder)
                except OSError as error:
                    raise ResultsError(f"{shard.folder}: cannot be removed: {error.strerror}") from error

    def publish(self, plan: Plan, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write the study's tables from the finished shards, then the manifest; return the manifest as written.

        With lanes of more than one origin, the table of lanes says of each which it is of, in the order of the
        manifest's `origins`, and the manifest says of all lanes only what is true of each.

        Raises:
            ResultsError: they cannot be written, the folder has vanished, or a shard is damaged.
        """
        import polars as pl

        self._must_be_there()
        used, planned = self.usable(plan), planned_rows(plan)
        lanes = lanes_of(plan, planned, used)
        origins, places = origins_of(used, dict(planned.select("lane_id", "seed").iter_rows()), self.here)
        if len(origins) > 1:
            lanes = lanes.with_columns(pl.Series(ORIGIN, [places[lane] for lane in lanes["lane_id"]], dtype=pl.Int64))
        tables = {
            table: (schema, gathered(table, schema, planned, used))
            for table, schema in table_schemas(plan.study.column_measures).items()
        } | {"lanes": (lanes.schema, iter([lanes]))}
        write_tables({self.path / f"{table}.parquet": rows for table, rows in tables.items()})
        counts = {
            "planned": plan.n_lanes,
            "finished": lanes["lane_id"].n_unique(),
            "diverged": lanes.filter(status="diverged")["lane_id"].n_unique(),
        }
        records = [shard.record for shard, _ in by_shard(used)]
        manifest = said_of(manifest, records) | {"lanes": counts, "origins": origins}
        self.write_manifest(manifest)
        seal(self.path)
        return manifest

    def lanes(self, plan: Plan) -> pl.DataFrame:
        """The table of the finished lanes of `plan`, as `publish` writes it, but for their origins.

        Raises:
            ResultsError: a shard is damaged.
        """
        return lanes_of(plan, planned_rows(plan), self.usable(plan))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest alone."""
        write_text(
            self.path / MANIFEST,
            json.dumps({"format": MANIFEST_FORMAT, "written_by": WRITTEN_BY} | manifest, indent=1) + "\n",
        )

    def _must_be_there(self) -> None:
        """Refuse to go on in a folder that was removed, or moved, with what had been finished in it."""
        if not self.shards.is_dir():
            raise ResultsError(f"{self.shards}: has vanished while it was in use; what was in it must be trained again")
