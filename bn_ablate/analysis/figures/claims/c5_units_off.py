"""C5: the share of ReLU units that are off, with and without learned β."""

from __future__ import annotations

from matplotlib.lines import Line2D

from bn_ablate.analysis.figures.claims.drawing import INTERVALS, flat_dots, means, plain
from bn_ablate.analysis.figures.style import INK, PAPER, Chart, small_multiples
from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS, hold, level_label, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

MEASURES = ("inactive_train", "dead_train")
TRAINED = {"all": "β learned", "all_but_bias": "β at 0"}


@figure("units_off", "placement", "trainable")
def units_off(results: Results) -> Chart | None:
    """Inactive and dead shares by placement and whether β is learned; weight decay apart."""
    lanes, note = hold(results, ("placement", "trainable", "optimizer", "weight_decay"))
    if lanes["inactive_train"].drop_nulls().is_empty():
        return None
    optimizers, decays = list(levels_of(results, "optimizer")), list(levels_of(results, "weight_decay"))
    kinds = [(p, t) for p in levels_of(results, "placement") for t in TRAINED if t in results.axes["trainable"]]
    kinds = [(p, t) for p, t in kinds if lanes.filter(placement=p, trainable=t).height]
    titles = [f"{name.upper() if name == 'sgd' else name.capitalize()}" for name in optimizers] * len(MEASURES)
    figure, panels = small_multiples(titles, height=1.55, columns=len(optimizers), sharex="row", sharey=True)
    for i, ax in enumerate(panels):
        measure = MEASURES[i // len(optimizers)]
        of = lanes
        if "optimizer" in results.axes:
            of = of.filter(optimizer=optimizers[i % len(optimizers)])
        for j, decay in enumerate(decays):
            for y, (placement, trainable) in enumerate(kinds):
                network = of.filter(placement=placement, trainable=trainable)
                if "weight_decay" in results.axes:
                    network = network.filter(weight_decay=decay)
                rows = means(network, [], measure)
                if rows.height:
                    flat_dots(ax, [y + 0.3 * (j - (len(decays) - 1) / 2)], rows, placement, hollow=j > 0)
        ax.set_yticks(
            range(len(kinds)),
            [PLACEMENT_LABELS[p] + ("" if p == "none" else f", {TRAINED[t]}") for p, t in kinds],
        )
        ax.set_ylim(len(kinds) - 0.5, -0.5)
        ax.set_xlabel(quantity(measure).axis)
        ax.tick_params(labelbottom=True)
        plain(ax, "x")
    if len(decays) > 1:
        handles = [Line2D([], [], color=INK, linewidth=0, marker="o", markerfacecolor=face) for face in (INK, PAPER)]
        names = [f"weight decay {level_label(decay)}" for decay in (decays[0], decays[-1])]
        panels[len(optimizers) - 1].legend(handles, names, loc="upper left", bbox_to_anchor=(1, 1))
    hollow = (
        f" Filled: weight decay {level_label(decays[0])}; hollow: {level_label(decays[-1])}." if len(decays) > 1 else ""
    )
    caption = (
        "ReLU units that are off: above, the share of units × samples at zero; below, of units at zero on every "
        f"training example. Means over the hidden layers.{hollow} {INTERVALS} {note}"
    )
    alt = f"Shares of units that are off, by placement and whether β is learned; panels: {', '.join(titles)}."
    return Chart("claim", "Units that are off", " ".join(caption.split()), alt, figure)
