"""Measures by layer, at the start and at the end of training: the gradient's norm, and those of a user's own."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import (
    FIRST,
    LOOKS,
    SECOND,
    Chart,
    axis_text,
    log_axis,
    small_multiples,
    styled,
)
from bn_ablate.analysis.judge.selection import hold, levels_of, summarize
from bn_ablate.config.measures import NORM
from bn_ablate.results import Results


@styled
def layers(results: Results, measure: str = NORM.name) -> Chart | None:
    """A measure of each hidden layer, over depth; nothing for a single hidden layer."""
    of, log = results.study.tables["layers"][measure], measure == NORM.name
    held = hold(results, ("placement", "activation"))
    lanes = held.lanes.filter(status="ok").select("lane_id", "placement", "activation", "seed")
    table = results.of_lanes("layers", lanes)
    values = table[measure]
    if table.is_empty() or table["layer"].max() == 0 or not (values > 0 if log else values.is_finite()).any():
        return None
    activations, placements = levels_of(results, "activation"), levels_of(results, "placement")
    figure, panels = small_multiples(activations)
    ends: dict[Axes, dict[str, float]] = {}
    steps = table["step"].unique().sort()
    for ax, activation in zip(panels, activations, strict=True):
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for placement in placements:
            look = LOOKS[placement]
            for step, style in ((steps[0], SECOND), (steps[-1], FIRST)):
                rows = table.filter(activation=activation, placement=placement, step=step)
                means = summarize(rows, ["layer"], measure, log, of.unit).sort("layer")
                if means.is_empty():
                    continue
                means = means.with_columns(pl.col("mean", "low", "high") * of.unit.scale)
                x = means["layer"].to_numpy() + 1
                ax.fill_between(x, means["low"], means["high"], color=look.color, alpha=0.14, linewidth=0)
                ax.plot(x, means["mean"], color=look.color, marker=look.marker, markersize=3, **style)
                if step == steps[-1]:
                    ends.setdefault(ax, {})[placement] = means["mean"][-1]
    if log:
        log_axis(panels[0])
    figure.supylabel(axis_text(of), fontsize=7.5)
    figure.supxlabel("Hidden layer", fontsize=7.5)
    label_ends(figure, panels, ends, [("end", FIRST), ("start", SECOND)])
    caption = (
        f"Each hidden layer's {of.label} ({of.definition}), at initialization (dashed) and after training (solid): "
        f"{'geometric ' * log}mean over the seeds that did not diverge, with its 95% Student t interval. {held.note}"
    ).strip()
    alt = (
        f"{of.axis} against the hidden layer, at the start and at the end; colours: "
        f"{', '.join(LOOKS[p].label for p in placements)}; panels: {', '.join(activations)}."
    )
    name = "layers" if log else f"layers_{measure}"
    return Chart(name, f"{of.label[:1].upper()}{of.label[1:]} by layer", caption, alt, figure)
