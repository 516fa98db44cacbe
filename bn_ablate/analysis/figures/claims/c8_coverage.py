"""C8: what is lost of test accuracy, by which layers have Batch Normalization."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from bn_ablate.analysis.figures.claims.drawing import flat_dots, means, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import GRID, MUTED, Chart, small_multiples
from bn_ablate.analysis.judge.selection import hold, level_label, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.quantity import MINUS, quantity
from bn_ablate.results import Results

METRIC = "final_test_accuracy"
FAR = 10
"""Where more percentage points than that are lost, the axis is linear up to 2 and logarithmic beyond."""


@figure("coverage", "coverage")
def coverage(results: Results) -> Chart | None:
    """Loss of test accuracy for every coverage, the placements side by side, a panel per activation."""
    lanes, note = hold(results, ("placement", "activation", "coverage"))
    if lanes[METRIC].drop_nulls().is_empty():
        return None
    accuracy = quantity(METRIC)
    coverages = [name for name in results.axes["coverage"] if name != "all"]
    activations = levels_of(results, "activation")
    placements = [p for p in levels_of(results, "placement") if p != "none"] or ["none"]
    keys = ["activation", "placement", "seed"]
    whole = lanes.filter(coverage="all").select(*keys, pl.col(METRIC).alias("_whole"))
    less = lanes.join(whole, on=keys, maintain_order="left").with_columns(
        accuracy_gap=pl.col(METRIC) - pl.col("_whole")
    )
    if whole.is_empty():
        return None
    margins = [abs(h.bound) for h in results.study.hypotheses if h.metric == METRIC and h.bound]
    figure, panels = small_multiples(activations, height=0.5 + 0.2 * len(coverages), sharex=False)
    ends: dict[Axes, dict[str, float]] = {}
    for ax, activation in zip(panels, activations, strict=True):
        for y in range(0, len(coverages), 2):
            ax.axhspan(y - 0.5, y + 0.5, color=GRID, alpha=0.4, linewidth=0, zorder=0)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        if margins:
            ax.axvline(-100 * margins[0], color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
        for i, placement in enumerate(placements):
            rows = means(less.filter(activation=activation, placement=placement), ["coverage"], "accuracy_gap")
            rows = rows.filter(pl.col("coverage") != "all")
            offset = 0.3 * (i - (len(placements) - 1) / 2)
            flat_dots(ax, [coverages.index(name) + offset for name in rows["coverage"]], rows, placement)
            ends.setdefault(ax, {})[placement] = offset
        ax.grid(visible=False, axis="y")
        if ax.get_xlim()[0] < -FAR:
            left, right = ax.get_xlim()
            ax.set_xscale("symlog", linthresh=2, linscale=1)
            ax.set_xlim(1.5 * left, max(right, 1.0))
            ax.xaxis.set_major_locator(FixedLocator([-100, -30, -10, -3, -1, 0, 1, 3]))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", MINUS)))
        else:
            plain(ax, "x")
    panels[0].set_yticks(range(len(coverages)), list(map(_name, coverages)))
    panels[0].set_ylim(len(coverages) - 0.5, -0.5)
    words, unit = accuracy.label.capitalize(), accuracy.unit.of_differences
    figure.supxlabel(f"{words}, minus that with BN in every layer ({unit})", fontsize=7.5)
    label_ends(figure, panels, ends)
    margin = f" Dashed: a loss of {100 * margins[0]:g} percentage points, the stated margin." if margins else ""
    caption = (
        "Final test accuracy with BN in some of the layers only, minus that of the same network and seed with BN in "
        "every layer: mean over seeds, with its 95% Student t interval. Left of zero, "
        "what is left out was of use. Beyond 2 points an axis may be logarithmic."
        f"{margin} {note}"
    )
    alt = f"Loss of test accuracy by coverage and placement; panels: {', '.join(map(level_label, activations))}."
    return Chart("claim", "What is lost where layers lack BN", " ".join(caption.split()), alt, figure)


def _name(level: str) -> str:
    if level.startswith("without_"):
        return f"all but layer {int(level.removeprefix('without_')) + 1}"
    named = {"none": "no layer", "first": "first only", "last": "last only", "input": "input only"}
    return named.get(level, level_label(level))
