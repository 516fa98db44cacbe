"""The columns of the stored tables.

`lanes.parquet` has a row per lane, `history.parquet` one per lane and measured step, `layers.parquet` one per lane,
step and hidden layer, `histograms.parquet` one per lane, layer and site at the first and the last measurement.
`docs/measurements.md` defines every column.
"""

from __future__ import annotations

from typing import Any

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
