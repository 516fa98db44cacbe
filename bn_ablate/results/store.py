"""The store: finished shards, each an atomic folder, and the study's tables made from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bn_ablate.plan import Plan
from bn_ablate.results.files import TEMPORARY, ResultsError, sha256_of, sweep, whole_folder, write_table, write_text
from bn_ablate.results.lock import LOCK
from bn_ablate.results.seal import refuse_links, seal
from bn_ablate.results.tables import PAIRED_METRICS, table_schemas

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
CHECKSUMS = "checksums.json"


class Store:
    """The results folder of one study, `results/<study>/`, as the run writes it.

    A shard, once it is there, is finished and never written again. `publish` makes the tables that people and tools
    read out of all shards that hold lanes of the plan; shards of lanes that have left the plan stay, for when they come
    back.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def shards(self) -> Path:
        """The folder of the finished shards."""
        return self.path / "shards"

    def open(self) -> None:
        """Make the folder and remove what an interrupted run left half-written.

        Raises:
            ResultsError: the folder cannot be made or written to, or a link is in it.
        """
        refuse_links(self.path)
        try:
            self.shards.mkdir(parents=True, exist_ok=True)
            sweep(self.path)
        except OSError as error:
            raise ResultsError(
                f"{self.path}: cannot be written to: {error.strerror}; choose another folder with --results"
            ) from error

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

    def finished(self) -> set[str]:
        """The ids of all lanes that some shard holds."""
        found: set[str] = set()
        for shard in self._shards():
            found.update(self._read(shard, "lanes")["lane_id"])
        return found

    def add_shard(self, name: str, tables: dict[str, pl.DataFrame]) -> None:
        """Store the finished lanes of one shard: `lanes`, `history`, `layers` and `histograms`.

        Raises:
            ResultsError: they cannot be written, or the folder has vanished.
        """
        self._must_be_there()
        target = self.shards / name
        if target.exists():
            return
        with whole_folder(target) as folder:
            sums = {}
            for table, schema in table_schemas().items():
                file = folder / f"{table}.parquet"
                write_table(file, tables[table].select(list(schema)).cast(schema))  # type: ignore[arg-type]
                sums[file.name] = sha256_of(file)
            write_text(folder / CHECKSUMS, json.dumps(sums, indent=1))

    def publish(self, plan: Plan, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write the study's tables from the finished shards, then the manifest; return the manifest as written.

        Raises:
            ResultsError: they cannot be written, the folder has vanished, or a shard is damaged.
        """
        import polars as pl

        self._must_be_there()
        axes = list(plan.study.axes)
        planned = pl.DataFrame(
            [
                {"lane_id": lane.id, **lane.cell.levels, "seed": lane.seed, "_row": i}
                for i, lane in enumerate(plan.rows)
            ],
            infer_schema_length=None,
        )
        tables = {table: self._gather(table, planned) for table in table_schemas()}
        lanes = planned.join(tables["lanes"].drop("seed"), on="lane_id", how="inner", maintain_order="left").drop(
            "_row"
        )
        lanes = with_underfitting(lanes, axes)
        write_table(self.path / "lanes.parquet", lanes)
        for table in ("history", "layers", "histograms"):
            write_table(self.path / f"{table}.parquet", tables[table])
        counts = {
            "planned": plan.n_lanes,
            "finished": lanes["lane_id"].n_unique(),
            "diverged": lanes.filter(status="diverged")["lane_id"].n_unique(),
        }
        manifest = manifest | {"lanes": counts}
        self.write_manifest(manifest)
        seal(self.path)
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest alone."""
        write_text(self.path / MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def _must_be_there(self) -> None:
        """Refuse to go on in a folder that was removed, or moved, with what had been finished in it."""
        if not self.shards.is_dir():
            raise ResultsError(f"{self.shards}: has vanished while it was in use; what was in it must be trained again")

    def _shards(self) -> list[Path]:
        found = self.shards.iterdir() if self.shards.is_dir() else ()
        return sorted(p for p in found if not p.name.startswith(TEMPORARY))

    def _gather(self, table: str, planned: pl.DataFrame) -> pl.DataFrame:
        """All rows of `table` for planned lanes, in the plan's order."""
        import polars as pl

        schema = table_schemas()[table]
        shards = (self._read(shard, table) for shard in self._shards())
        # diagonal: a shard from before a measure was known has no column for it
        rows = pl.concat([pl.DataFrame(schema=schema), *shards], how="diagonal")
        keys = [key for key in ("step", "layer", "site") if key in schema]
        order = planned.select("lane_id", "_row").unique("lane_id", keep="first")
        return rows.unique(["lane_id", *keys], keep="first").join(order, on="lane_id").sort("_row", *keys).drop("_row")

    def _read(self, shard: Path, table: str) -> pl.DataFrame:
        import polars as pl

        file = shard / f"{table}.parquet"
        remedy = f"delete the folder {shard} and run again: only its lanes are trained anew"
        try:
            expected = json.loads((shard / CHECKSUMS).read_text())[file.name]
            if sha256_of(file) != expected:
                raise ResultsError(f"{file}: its content has changed since it was written; {remedy}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{file}: cannot be read ({error}); {remedy}") from error
        return pl.read_parquet(file, glob=False)


def with_underfitting(lanes: pl.DataFrame, axes: list[str]) -> pl.DataFrame:
    """Add `underfitting`: eval-mode train loss minus that of the same cell and seed at dropout 0; null without one.

    `recalibrated_underfitting` is the same of the loss with recalibrated statistics.
    """
    import polars as pl

    if "dropout_rate" not in axes:
        return lanes.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in PAIRED_METRICS)
    keys = [axis for axis in axes if axis != "dropout_rate"] + ["seed"]
    without = lanes.filter(pl.col("dropout_rate") == 0).select(
        *keys, *(pl.col(loss).alias(f"_{loss}") for loss in PAIRED_METRICS.values())
    )
    joined = lanes.join(without, on=keys, how="left", maintain_order="left", nulls_equal=True)
    return joined.with_columns(
        (pl.col(loss) - pl.col(f"_{loss}")).alias(name) for name, loss in PAIRED_METRICS.items()
    ).drop(f"_{loss}" for loss in PAIRED_METRICS.values())
