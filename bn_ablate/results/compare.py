"""Two results folders that hold the same lanes, number by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bn_ablate.results.reader import Results
from bn_ablate.results.recording.columns import KEYS, table_schemas

if TYPE_CHECKING:
    import polars as pl


def compare(first: Results, second: Results) -> pl.DataFrame | None:
    """How the lanes that both hold differ; None where there is no such lane.

    A row per table and column that a lane has by itself: `table`, `column`, `lanes` and `values` compared, how many of
    the values are `differing` (two NaN are the same), and the `largest` difference in absolute value, null where the
    values are no numbers.
    """
    import polars as pl

    rows = []
    also = dict.fromkeys((*first.study.column_measures, *second.study.column_measures))
    for table, schema in table_schemas(also).items():
        one, other = (getattr(results, "networks" if table == "lanes" else table) for results in (first, second))
        keys = [key for key in KEYS if key in schema]
        pairs = one.join(other, on=keys, how="inner", suffix="_again")
        for column, kind in schema.items():
            if column in keys or f"{column}_again" not in pairs.columns:
                continue
            a, b = pl.col(column), pl.col(f"{column}_again")
            found = pairs.select(
                lanes=pl.col("lane_id").n_unique(),
                values=pl.len(),
                differing=a.ne_missing(b).sum(),
                largest=(a - b).abs().fill_nan(None).max() if kind == pl.Float64 else pl.lit(None, dtype=pl.Float64),
            )
            rows.append({"table": table, "column": column} | found.row(0, named=True))
    schema = {
        "table": pl.String,
        "column": pl.String,
        "lanes": pl.Int64,
        "values": pl.Int64,
        "differing": pl.Int64,
        "largest": pl.Float64,
    }
    differences = pl.DataFrame(rows, schema=schema)
    return differences if differences["lanes"].sum() else None
