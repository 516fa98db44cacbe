"""The gradient's norm by layer, at the start and at the end of training."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bn_ablate.analysis.figures.style import FIRST, LOOKS, SECOND, Chart, label_ends, log_axis, small_multiples, styled
from bn_ablate.analysis.judge.selection import hold, levels_of, summarize
from bn_ablate.results import Results


@styled
def layers(results: Results) -> Chart | None:
    """L2 norm of the loss gradient of each hidden layer's kernel, over depth; nothing for a single hidden layer."""
    held = hold(results, ("placement", "activation"))
    lanes = held.lanes.filter(status="ok").select("lane_id", "placement", "activation", "seed")
    table = results.layers.join(lanes, on="lane_id", maintain_order="left")
    if table.is_empty() or table["layer"].max() == 0 or not (table["gradient_norm"] > 0).any():
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
                norms = summarize(rows, ["layer"], "gradient_norm", log=True).sort("layer")
                if norms.is_empty():
                    continue
                x = norms["layer"].to_numpy() + 1
                ax.fill_between(x, norms["low"], norms["high"], color=look.color, alpha=0.14, linewidth=0)
                ax.plot(x, norms["mean"], color=look.color, marker=look.marker, markersize=3, **style)
                if step == steps[-1]:
                    ends.setdefault(ax, {})[placement] = norms["mean"][-1]
    log_axis(panels[0])
    figure.supylabel("Gradient norm", fontsize=7.5)
    figure.supxlabel("Hidden layer", fontsize=7.5)
    label_ends(figure, panels, ends, [("end", FIRST), ("start", SECOND)])
    caption = (
        "L2 norm of the loss gradient for the kernel of each hidden layer, at initialization (dashed) and after "
        "training (solid): geometric mean over the seeds that did not diverge, with its 95% Student t interval. "
        + held.note
    ).strip()
    alt = (
        f"Gradient norm against the hidden layer, at the start and at the end; colours: "
        f"{', '.join(LOOKS[p].label for p in placements)}; panels: {', '.join(activations)}."
    )
    return Chart("layers", "Gradient norm by layer", caption, alt, figure)
