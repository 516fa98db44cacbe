"""C4: BN's generalization gap in the currency of dropout and weight decay, and its dependence on the batch."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from bn_ablate.analysis.figures.claims.drawing import INTERVALS, band, curve, means, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import Chart, axis_text, short, small_multiples
from bn_ablate.analysis.judge.selection import axis_label, hold, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

DOSE = "norm_batch_size"


@figure("regularization", "placement", "dropout_rate")
def regularization(results: Results) -> Chart | None:
    """The gap without BN against dropout and weight decay, with BN's as bands; and against the normalized batch."""
    if results.lanes["gap"].drop_nulls().is_empty():
        return None
    rates = list(results.axes.get("learning_rate", ()))
    varied = [axis for axis in ("dropout_rate", "weight_decay", DOSE) if len(results.axes.get(axis, ())) > 1]
    held = hold(results, ("placement", "learning_rate", *varied))
    titles = [f"learning rate {rate:g}" for rate in rates] or ["all networks"]
    figure, panels = small_multiples(titles * len(varied), height=1.6, columns=len(titles), sharex=False, sharey=True)
    plain_levels = {axis: (max if axis == DOSE else min)(results.axes[axis]) for axis in varied}
    ends: dict[Axes, dict[str, float]] = {}
    for i, ax in enumerate(panels):
        axis, of = varied[i // len(titles)], held.lanes
        if rates:
            of = of.filter(learning_rate=rates[i % len(titles)])
        for other in varied:
            if other != axis:
                at = pl.col(other) == plain_levels[other]
                of = of.filter(at | (pl.col("placement") == "none") if other == DOSE else at)
        levels = sorted(results.axes[axis])
        for placement in levels_of(results, "placement"):
            rows = means(of.filter(placement=placement), [axis], "gap").sort(axis)
            if rows.height > 1:
                curve(ax, [levels.index(level) for level in rows[axis]], rows, placement)
            elif rows.height:
                band(ax, rows, placement)
            if rows.height:
                ends.setdefault(ax, {})[placement] = rows["mean"][-1]
        ax.set_xticks(range(len(levels)), [short(level) for level in levels])
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("examples normalized together" if axis == DOSE else axis_label(axis))
        ax.set_title(titles[i] if i < len(titles) else "")
        plain(ax)
    figure.supylabel(axis_text(quantity("gap")), fontsize=7.5)
    label_ends(figure, panels, ends)
    caption = (
        "Generalization gap, both losses in evaluation mode. Where a band of BN crosses the curve without BN is the "
        "dropout rate, or the weight decay, that gives the same gap. Last row: BN's gap against the number of examples "
        f"that are normalized together; fewer mean more noise. {INTERVALS} {held.note}"
    )
    alt = f"Generalization gap against {', '.join(map(axis_label, varied))}, by placement; panels: {', '.join(titles)}."
    return Chart("claim", "Generalization gap, BN against dropout", " ".join(caption.split()), alt, figure)
