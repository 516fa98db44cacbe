"""The columns of the stored tables, as `config.quantity.TABLES` declares them, and what a table has of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bn_ablate.config.metrics import columns_with
from bn_ablate.config.quantity import TABLES

if TYPE_CHECKING:
    import polars as pl

PAIRED = {name: of.paired for name, of in TABLES["lanes"].items() if of.paired}
"""Metrics that need the lane's partner at dropout 0, and are added when lanes meet, with the metric they compare."""


def table_schemas(also: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Column types by table, for the tables of a shard: no axis columns and no paired metrics yet.

    `also` names the measures that they only have columns for where these are asked for, as a user's own.
    """
    import polars as pl

    types = {"number": pl.Float64, "count": pl.Int64, "text": pl.String, "counts": pl.List(pl.Int64)}
    return {
        table: {name: types[column.kind] for name, column in columns.items() if not column.paired}
        for table, columns in columns_with(also).items()
    }


KEYS = ("lane_id", "step", "layer", "site")
"""The columns in which any two rows of a table differ, as far as it has them."""

ORIGIN = "origin"
"""The column of the published lanes that says which of the manifest's origins a lane is of, where they are several."""


def published_schema(table: str, axes: Iterable[str], also: Iterable[str] = ()) -> dict[str, Any]:
    """Column types of a published table; None for an axis, whose levels may have any type."""
    import polars as pl

    schema = table_schemas(also)[table]
    if table != "lanes":
        return schema
    return {"lane_id": schema["lane_id"], **dict.fromkeys(axes), **schema} | dict.fromkeys(PAIRED, pl.Float64)


def misfit(
    table: pl.DataFrame, schema: Mapping[str, Any], optional: Iterable[str] = (), also: Iterable[str] = ()
) -> str | None:
    """What of `table` is not as `schema` says, as part of a sentence; None where all is.

    Columns in `optional` may be missing, or there beside those of the schema. No two rows may have the same in all of
    `KEYS` and the columns `also`.
    """
    optional, there = frozenset(optional), dict(table.schema)
    missing = [name for name in schema if name not in there and name not in optional]
    strange = [name for name in there if name not in schema and name not in optional]
    found = [f"has no column {name!r}" for name in missing] + [f"has a column {name!r}" for name in strange]
    found += [
        f"has {there[name]} in column {name!r}, where {kind} should be"
        for name, kind in schema.items()
        if kind is not None and name in there and there[name] != kind
    ]
    if not found:
        keys = [name for name in KEYS if name in schema]
        if any(table[name].null_count() for name in keys):
            found.append(f"has rows without {' or '.join(keys)}")
        elif table.select(*keys, *also).is_duplicated().any():
            found.append(f"has rows of the same {', '.join((*keys, *also))}")
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or None
