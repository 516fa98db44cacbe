"""C1: how much of the first layer's input to the activation is saturated, at the start and at the end."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from bn_ablate.analysis.figures.claims.drawing import INTERVALS, dots, means, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import Chart, axis_text, small_multiples
from bn_ablate.analysis.judge.selection import hold, level_label, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

BOUNDED = ("sigmoid", "tanh", "hard_tanh", "softsign")
INPUTS = {"channel": "standardized inputs", "none": "raw inputs"}


@figure("saturation", "placement", "activation")
def saturation(results: Results) -> Chart | None:
    """Saturated share from the start to the end of training, by bounded activation and scaling of the input."""
    lanes, note = hold(results, ("placement", "activation", "standardize"))
    activations = [name for name in levels_of(results, "activation") if name in BOUNDED]
    if not activations or lanes["first_saturated"].drop_nulls().is_empty():
        return None
    if "standardize" not in lanes.columns:
        lanes = lanes.with_columns(pl.lit("channel").alias("standardize"))
    inputs = [scaling for scaling in INPUTS if scaling in lanes["standardize"]]
    titles = [f"{level_label(name)}, {INPUTS[scaling]}" for scaling in inputs for name in activations]
    figure, panels = small_multiples(titles, height=1.55, columns=len(activations))
    ends: dict[Axes, dict[str, float]] = {}
    for ax, (scaling, name) in zip(panels, [(s, n) for s in inputs for n in activations], strict=True):
        for placement in levels_of(results, "placement"):
            of = lanes.filter(standardize=scaling, activation=name, placement=placement)
            rows = pl.concat([means(of, [], metric) for metric in ("first_saturated_start", "first_saturated")])
            if rows.height == 2:
                dots(ax, [0, 1], rows, placement, line=True)
                ends.setdefault(ax, {})[placement] = rows["mean"][1]
        ax.set_xticks([0, 1], ["start", "end"])
        ax.set_xlim(-0.2, 1.2)
        ax.set_title(level_label(name) if scaling == inputs[0] else "")
        if name == activations[0] and len(inputs) > 1:
            ax.set_ylabel(INPUTS[scaling])
        plain(ax)
    panels[0].set_ylim(bottom=-2)
    figure.supylabel(axis_text(quantity("first_saturated")), fontsize=7.5)
    label_ends(figure, panels, ends)
    caption = (
        "Share of the first layer's units × samples at which the activation's slope is under a tenth of its greatest, "
        f"before and after training. {INTERVALS} {note}"
    )
    alt = f"Saturated share at the start and at the end, by placement; panels: {', '.join(titles)}."
    return Chart("claim", "Saturated share of the first layer", " ".join(caption.split()), alt, figure)
