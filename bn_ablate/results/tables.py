"""The columns of the stored tables.

`lanes.parquet` has a row per lane, `history.parquet` one per lane and measured step, `layers.parquet` one per lane,
step and hidden layer, `histograms.parquet` one per lane, layer and site at the first and the last measurement.
"""

from __future__ import annotations

from typing import Any

PARTS = ("train", "validation", "test")
CURVES = tuple(f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy"))
"""Eval-mode loss (mean cross-entropy, in nats) and accuracy on each part."""

LAYER_MEASURES = (
    "mean",
    "std",
    "within_3sigma",
    "in_band",
    "steepness",
    "saturated",
    "zero_share",
    "dead",
    "gradient_norm",
)

LANE_METRICS = (
    *(f"final_{curve}" for curve in CURVES),
    "best_step",
    *(f"best_{curve}" for curve in CURVES),
    "gap",
    "accuracy_gap",
    "saturated",
    "in_band",
    "zero_share",
    "gradient_ratio",
)
"""Metrics that a lane has by itself; `underfitting` needs its partner at dropout 0 and is added when lanes meet."""

SITES = ("dense", "activation_input")
"""Where histograms are taken: what the Dense layer gives (before BN), and what the activation gets."""


def table_schemas() -> dict[str, dict[str, Any]]:
    """Column types by table, for the tables of a shard (no axis columns yet)."""
    import polars as pl

    numbers = dict.fromkeys(LANE_METRICS, pl.Float64) | {"best_step": pl.Int64}
    curves, measures = dict.fromkeys(CURVES, pl.Float64), dict.fromkeys(LAYER_MEASURES, pl.Float64)
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
