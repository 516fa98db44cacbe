"""C3: gradients by layer in the deepest network, their slope by depth, and how many networks train."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bn_ablate.analysis.figures.claims.drawing import INTERVALS, curve, means, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import Chart, log_axis, small_multiples
from bn_ablate.analysis.judge.selection import hold, level_label, levels_of, summarize, tuned
from bn_ablate.config.claims import figure
from bn_ablate.config.measures import DECADES, NORM
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results


@figure("gradients", "placement", "depth")
def gradients(results: Results) -> Chart | None:
    """Gradient norm by layer at the start, its slope against depth, and the share of lanes that trained."""
    shown = ("placement", "depth", "learning_rate")
    held = hold(results, (*shown, "activation"))
    activation = "sigmoid" if "sigmoid" in levels_of(results, "activation") else levels_of(results, "activation")[0]
    lanes = held.lanes.filter(activation=activation)
    best, note = tuned(results, lanes)
    depths = sorted(results.axes["depth"])
    deepest = lanes.filter(depth=depths[-1]).select("lane_id", "placement", "seed")
    layers = results.of_lanes("layers", deepest, pl.col("step") == 0)
    if layers.is_empty() or lanes["gradient_slope_start"].drop_nulls().is_empty():
        return None
    titles = [f"start, {depths[-1]} layers", "start, by depth", "share that trained"]
    figure, panels = small_multiples(titles, height=2.0, sharex=False, sharey=False)
    ends: dict[Axes, dict[str, float]] = {}
    for placement in levels_of(results, "placement"):
        norms = summarize(layers.filter(placement=placement), ["layer"], "gradient_norm", log=True).sort("layer")
        curve(panels[0], (norms["layer"] + 1).to_list(), norms, placement)
        slopes = means(lanes.filter(placement=placement), ["depth"], "gradient_slope_start").sort("depth")
        curve(panels[1], [depths.index(depth) for depth in slopes["depth"]], slopes, placement)
        trained = means(best.filter(placement=placement), ["depth"], "trained").sort("depth")
        if trained.height:
            curve(panels[2], [depths.index(depth) for depth in trained["depth"]], trained, placement)
            ends.setdefault(panels[2], {})[placement] = trained["mean"][-1]
    log_axis(panels[0])
    panels[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panels[0].set(xlabel="Hidden layer", ylabel=NORM.axis)
    panels[1].axhline(0, color="#6a717b", linewidth=0.8)
    panels[1].set(xlabel="Depth", ylabel=f"{DECADES.name.capitalize()}\n← grows | shrinks towards layer 1 →")
    panels[2].set(xlabel="Depth", ylabel=quantity("trained").axis, ylim=(-5, 105))
    for ax in panels[1:]:
        ax.set_xticks(range(len(depths)), list(map(str, depths)))
        plain(ax)
    label_ends(figure, panels, ends)
    caption = (
        f"Networks of {level_label(activation)} units. Left: L2 norm of the loss gradient for each hidden layer's "
        "kernel at initialization, geometric means. Middle: the slope of its logarithm over the layers; above zero "
        "the gradient shrinks on its way to the first layer. Right: share of the networks whose training "
        f"accuracy ends clearly above chance. {INTERVALS} Right: {note[:1].lower()}{note[1:]} {held.note}"
    )
    alt = "Gradient norm over layers, its slope against depth, and the share that trained; lines by placement."
    return Chart("claim", "Gradients over depth", " ".join(caption.split()), alt, figure)
