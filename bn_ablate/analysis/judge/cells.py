"""A row per cell: how many lanes, how many diverged, and the main metrics with their intervals."""

from __future__ import annotations

import polars as pl

from bn_ablate.analysis.judge.selection import axes_in_order, summarize
from bn_ablate.results import Results

CELL_METRICS = (
    "final_test_accuracy",
    "final_test_loss",
    "final_train_accuracy",
    "final_train_loss",
    "best_test_accuracy",
    "gap",
    "underfitting",
)


def cell_table(results: Results) -> pl.DataFrame:
    """A row per cell, in the study's order.

    Columns: the axes; `n` finished lanes; `diverged` lanes among them; and for each metric of `CELL_METRICS` its mean
    over seeds under its own name, with the 95% Student t interval in `<metric>_low` and `<metric>_high` (null from one
    seed). Loss-like metrics are means over the lanes that did not diverge, accuracies over all; `underfitting` is there
    only in studies with a dropout axis.
    """
    lanes, axes = results.lanes, axes_in_order(results)
    keys: list[str | pl.Expr] = [*axes] or [pl.lit(0).alias("_all")]
    table = lanes.group_by(keys, maintain_order=True).agg(
        pl.len().alias("n"), (pl.col("status") == "diverged").sum().alias("diverged")
    )
    for metric in CELL_METRICS:
        if lanes[metric].is_null().all():
            continue
        summary = summarize(lanes, axes, metric).drop("n")
        summary = summary.rename({"mean": metric, "low": f"{metric}_low", "high": f"{metric}_high"})
        if axes:
            table = table.join(summary, on=axes, how="left", nulls_equal=True, maintain_order="left")
        elif summary.height:
            table = table.hstack(summary)
    return table.drop("_all", strict=False)
