"""The rows of the published tables: those of all planned lanes, from the shards that hold them, in the plan's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bn_ablate.plan import Plan
from bn_ablate.results.finished import rows_of
from bn_ablate.results.origins import Held, by_shard
from bn_ablate.results.recording.columns import PAIRED, table_schemas

if TYPE_CHECKING:
    import polars as pl

LANES_AT_ONCE, MOST_TIMES = 4096, 16
"""Lanes whose rows are in memory together, or more, so that no shard is read more often than so many times."""


def planned_rows(plan: Plan) -> pl.DataFrame:
    """The rows of the table of lanes, in order: of each its lane, its levels and its seed, and in `_row` its place."""
    import polars as pl

    rows = ({"lane_id": lane.id, **lane.cell.levels, "seed": lane.seed, "_row": i} for i, lane in enumerate(plan.rows))
    return pl.DataFrame(list(rows), infer_schema_length=None)


def lanes_of(plan: Plan, planned: pl.DataFrame, used: Mapping[str, Held]) -> pl.DataFrame:
    """The table of lanes, of those in `used`; `planned` are the plan's rows.

    Raises:
        ResultsError: a shard is damaged.
    """
    import polars as pl

    rows = pl.concat(gathered("lanes", table_schemas(plan.study.column_measures)["lanes"], planned, used)).drop("seed")
    lanes = planned.join(rows, on="lane_id", how="inner", maintain_order="left").drop("_row")
    return with_underfitting(lanes, list(plan.study.axes))


def gathered(
    table: str, schema: Mapping[str, Any], planned: pl.DataFrame, used: Mapping[str, Held]
) -> Iterator[pl.DataFrame]:
    """All rows of `table` for planned lanes, each from the shard that is used for it, in order, some lanes at a time.

    Raises:
        ResultsError: a shard is damaged.
    """
    import polars as pl

    keys = [key for key in ("step", "layer", "site") if key in schema]
    order = planned.select("lane_id", "_row").unique("lane_id", keep="first").sort("_row")
    some = max(LANES_AT_ONCE, -(-order.height // MOST_TIMES))
    yield pl.DataFrame(schema=schema)
    for first in range(0, order.height, some):
        here = order.slice(first, some)
        of_them = by_shard({lane: used[lane] for lane in here["lane_id"] if lane in used})
        in_order = sorted(of_them, key=lambda held: held[0].folder)
        shards = (rows_of(shard.folder, table, shard.record, lanes) for shard, lanes in in_order)
        # diagonal: a shard from before a measure was known has no column for it
        rows = pl.concat([pl.DataFrame(schema=schema), *shards], how="diagonal")
        yield rows.join(here, on="lane_id").sort("_row", *keys).drop("_row")


def with_underfitting(lanes: pl.DataFrame, axes: list[str]) -> pl.DataFrame:
    """Add `underfitting`: eval-mode train loss minus that of the same cell and seed at dropout 0; null without one.

    `recalibrated_underfitting` is the same of the loss with recalibrated statistics.
    """
    import polars as pl

    if "dropout_rate" not in axes:
        return lanes.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in PAIRED)
    keys = [axis for axis in axes if axis != "dropout_rate"] + ["seed"]
    without = lanes.filter(pl.col("dropout_rate") == 0).select(
        *keys, *(pl.col(loss).alias(f"_{loss}") for loss in PAIRED.values())
    )
    joined = lanes.join(without, on=keys, how="left", maintain_order="left", nulls_equal=True)
    return joined.with_columns((pl.col(loss) - pl.col(f"_{loss}")).alias(name) for name, loss in PAIRED.items()).drop(
        f"_{loss}" for loss in PAIRED.values()
    )
