"""The columns of the stored tables.

`lanes.parquet` has a row per lane, `history.parquet` one per lane and measured step, `layers.parquet` one per lane,
step and hidden layer, `histograms.parquet` one per lane, layer and site at the first and the last measurement.
`docs/measurements.md` defines every column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

PARTS = ("train", "validation", "test")
CURVES = tuple(f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy"))
"""Eval-mode loss (mean cross-entropy, in nats) and accuracy on each part."""


EVALUATED = tuple(f"{how}_{curve}" for how in ("recalibrated", "batch") for curve in CURVES)
"""The same with recalibrated statistics, and with batch statistics."""

LANDSCAPE = ("loss_range", "gradient_change", "smoothness")
HISTORY_MEASURES = (*CURVES, *EVALUATED, *LANDSCAPE)

PROBED = ("mean", "std", "within_3sigma", "in_band", "steepness", "saturated", "zero_share", "dead")
"""Measures of a layer on the probe."""

OFF = ("dead_train", "inactive_train")
"""Measures of a layer on the whole training set."""

SHIFTED = ("variance_shift", "variance_ratio")
AFFINE = (
    "gamma_mean",
    "gamma_std",
    "gamma_min",
    "gamma_max",
    "beta_mean",
    "beta_std",
    "beta_min",
    "beta_max",
    "beta_negative",
    "beta_over_gamma",
)
OF_BN = (*SHIFTED, *AFFINE)
"""Measures that only a layer with BN has."""

PERCENTILES = ("unit_p15", "unit_p50", "unit_p85")

LAYER_MEASURES = (*PROBED, "gradient_norm", *OFF, *OF_BN, *PERCENTILES)

LANE_METRICS = (
    *(f"final_{curve}" for curve in CURVES),
    "best_step",
    *(f"best_{curve}" for curve in CURVES),
    *EVALUATED,
    "recovered_train_loss",
    "recovered_test_loss",
    "gap",
    "accuracy_gap",
    "recalibrated_gap",
    "trained",
    "steps_to_loss",
    "reached_loss",
    *(form for name in (*PROBED, *OFF) for form in (name, f"{name}_start", f"first_{name}", f"first_{name}_start")),
    "gradient_ratio",
    "gradient_ratio_start",
    "gradient_slope",
    "gradient_slope_start",
    *OF_BN,
    "variance_shift_max",
    *LANDSCAPE,
    "unit_drift",
)
"""Metrics that a lane has by itself."""

PAIRED_METRICS = {"underfitting": "final_train_loss", "recalibrated_underfitting": "recalibrated_train_loss"}
"""Metrics that need the lane's partner at dropout 0, and are added when lanes meet, with the loss they compare."""

SITES = ("dense", "activation_input")
"""Where histograms are taken: what the Dense layer gives (before BN), and what the activation gets."""


def table_schemas() -> dict[str, dict[str, Any]]:
    """Column types by table, for the tables of a shard (no axis columns yet)."""
    import polars as pl

    numbers = dict.fromkeys(LANE_METRICS, pl.Float64) | {"best_step": pl.Int64}
    curves = dict.fromkeys(HISTORY_MEASURES, pl.Float64)
    measures = dict.fromkeys(LAYER_MEASURES, pl.Float64)
    return {
        "lanes": {"lane_id": pl.String, "seed": pl.Int64, "status": pl.String, "diverged_at": pl.Int64} | numbers,
        "history": {"lane_id": pl.String, "step": pl.Int64, "batch_loss": pl.Float64} | curves,
        "layers": {"lane_id": pl.String, "step": pl.Int64, "layer": pl.Int64} | measures,
        "histograms": {
            "lane_id": pl.String,
            "step": pl.Int64,
            "layer": pl.Int64,
            "site": pl.String,
            "low": pl.Float64,
            "high": pl.Float64,
            "counts": pl.List(pl.Int64),
        },
    }


KEYS = ("lane_id", "step", "layer", "site")
"""The columns that tell rows apart, as far as a table has them."""

ORIGIN = "origin"
"""The column of the published lanes that says which of the manifest's origins a lane is of, where they are several."""


def published_schema(table: str, axes: Iterable[str]) -> dict[str, Any]:
    """Column types of a published table; None for an axis, whose levels may have any type."""
    import polars as pl

    schema = table_schemas()[table]
    if table != "lanes":
        return schema
    return {"lane_id": schema["lane_id"], **dict.fromkeys(axes), **schema} | dict.fromkeys(PAIRED_METRICS, pl.Float64)


def misfit(
    table: pl.DataFrame, schema: Mapping[str, Any], optional: Iterable[str] = (), also: Iterable[str] = ()
) -> str | None:
    """What of `table` is not as `schema` says, as part of a sentence; None where all is.

    Columns in `optional` may be missing, or there beside those of the schema. Rows are told apart by `KEYS`, and by the
    columns `also`.
    """
    optional = frozenset(optional)
    missing = [name for name in schema if name not in table.columns and name not in optional]
    strange = [name for name in table.columns if name not in schema and name not in optional]
    found = [f"has no column {name!r}" for name in missing] + [f"has a column {name!r}" for name in strange]
    found += [
        f"has {table.schema[name]} in column {name!r}, where {kind} should be"
        for name, kind in schema.items()
        if kind is not None and name in table.columns and table.schema[name] != kind
    ]
    if not found:
        keys = [name for name in KEYS if name in schema]
        if any(table[name].null_count() for name in keys):
            found.append(f"has rows without {' or '.join(keys)}")
        elif table.select(*keys, *also).is_duplicated().any():
            found.append(f"has rows of the same {', '.join((*keys, *also))}")
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "") or None
