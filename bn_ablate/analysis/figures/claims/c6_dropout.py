"""C6: losses and accuracy against the dropout rate, with the best rate marked."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from bn_ablate.analysis.figures.against import scale_axis
from bn_ablate.analysis.figures.claims.drawing import INTERVALS, curve, means, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import (
    LOOKS,
    Chart,
    log_axis,
    short,
    small_multiples,
)
from bn_ablate.analysis.judge.selection import hold, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.results import Results

PANELS = {
    "final_validation_loss": "validation loss (nats)",
    "final_test_accuracy": "test accuracy (%)",
    "final_train_loss": "training loss (nats)",
}

WIDE = 5
"""Losses that differ by more than this factor are drawn by their logarithm."""


@figure("dropout", "placement", "dropout_rate")
def dropout(results: Results) -> Chart | None:
    """Validation loss, test accuracy and training loss in evaluation mode against the dropout rate."""
    lanes, note = hold(results, ("placement", "activation", "dropout_rate"))
    if lanes["final_validation_loss"].drop_nulls().is_empty():
        return None
    rates = sorted(results.axes["dropout_rate"])
    figure, panels = small_multiples(list(PANELS.values()), height=2.1, sharey=False)
    ends: dict[Axes, dict[str, float]] = {}
    for ax, metric in zip(panels, PANELS, strict=True):
        drawn = []
        for placement in levels_of(results, "placement"):
            rows = means(lanes.filter(placement=placement), ["dropout_rate"], metric).sort("dropout_rate")
            if rows.is_empty():
                continue
            curve(ax, rows["dropout_rate"].to_list(), rows, placement)
            ends.setdefault(ax, {})[placement] = rows["mean"][-1]
            drawn.append((placement, rows))
        everything = pl.concat([rows for _, rows in drawn])
        low, high = float(everything["mean"].min()), float(everything["mean"].max())  # type: ignore[arg-type]
        if metric == "final_test_accuracy":
            scale_axis(ax, "accuracy", low, high)
        elif high > WIDE * low > 0:
            log_axis(ax)
        else:
            plain(ax)
        if metric == "final_validation_loss":
            for placement, rows in drawn:
                best = rows.sort("mean").row(0, named=True)
                ax.plot(best["dropout_rate"], best["mean"], "o", markersize=10, markerfacecolor="none",
                        markeredgecolor=LOOKS[placement].color, markeredgewidth=1.0, zorder=5)  # fmt: skip
        ax.set_xticks(rates[::2], [short(rate) for rate in rates[::2]])
    figure.supxlabel("Dropout rate", fontsize=7.5)
    label_ends(figure, panels, ends)
    caption = (
        "Losses in evaluation mode and accuracy at the end, against the dropout rate. Circled: the rate with the "
        f"lowest mean validation loss. {INTERVALS} {note}"
    )
    caption += " Losses may stand on a logarithmic axis, accuracies on one that is logarithmic in the error."
    alt = "Validation loss, test accuracy and training loss against the dropout rate; lines by placement."
    return Chart("claim", "The best dropout rate", " ".join(caption.split()), alt, figure)
