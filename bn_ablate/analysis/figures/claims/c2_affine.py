"""C2: test accuracy with and without γ and β, and with γ and β alone trained."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from bn_ablate.analysis.figures.claims.drawing import INTERVALS, band, dots, means, name_inside, plain
from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import Chart, axis_text, small_multiples
from bn_ablate.analysis.judge.selection import hold, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

NAMES = {"none": "none", "scale": "γ", "bias": "β", "both": "γ, β"}
METRIC = "final_test_accuracy"


@figure("affine", "placement", "affine")
def affine(results: Results) -> Chart | None:
    """Test accuracy by what BN learns, a panel per activation; and, last, with all other weights frozen."""
    lanes, note = hold(results, ("placement", "activation", "affine", "trainable"))
    if "trainable" not in lanes.columns:
        lanes = lanes.with_columns(pl.lit("all").alias("trainable"))
    alone = lanes.filter(trainable="affine_only")
    affines = [name for name in NAMES if name in results.axes["affine"]]
    activations = list(levels_of(results, "activation"))
    titles = [*activations, *(["only γ, β trained"] if alone.height else [])]
    figure, panels = small_multiples(titles, height=1.9, columns=len(titles), sharex=False, sharey=False)
    for ax in panels[1 : len(activations)]:
        ax.sharey(panels[0])
        ax.tick_params(labelleft=False)
    ends: dict[Axes, dict[str, float]] = {}
    for ax, activation in zip(panels, activations, strict=False):
        of = lanes.filter(activation=activation, trainable="all")
        without = means(of.filter(placement="none"), [], METRIC)
        if without.height:
            band(ax, without, "none")
            if ax is panels[0]:
                name_inside(ax, "none", without["mean"][0])
        _placements(ax, of, affines, ends)
    if alone.height:
        _placements(panels[-1], alone, [name for name in affines if name in alone["affine"]], ends)
        panels[-1].set_ylim(0, 100)
    for ax in panels:
        plain(ax)
    figure.supylabel(axis_text(quantity(METRIC)), fontsize=7.5)
    figure.supxlabel("What BN learns", fontsize=7.5)
    label_ends(figure, panels, ends)
    caption = (
        "Final test accuracy where BN learns neither γ nor β, one of them, or both. The grey band is the same network "
        f"without BN. {INTERVALS} {note}"
    )
    if alone.height:
        caption += " Last panel, on its own scale: every other weight stays as it began; mean over the activations."
    alt = f"Test accuracy by what BN learns, lines by placement; panels: {', '.join(titles)}."
    return Chart("claim", "Test accuracy with and without γ and β", " ".join(caption.split()), alt, figure)


def _placements(ax: Axes, lanes: pl.DataFrame, affines: Sequence[str], ends: dict[Axes, dict[str, float]]) -> None:
    """A line for each placement of BN; where it ends goes into `ends`."""
    for i, placement in enumerate(("pre", "post")):
        rows = means(lanes.filter(placement=placement), ["affine"], METRIC)
        found = [name for name in affines if name in rows["affine"]]
        if found:
            rows = pl.concat([rows.filter(affine=name) for name in found])
            dots(ax, [affines.index(name) + 0.12 * (i - 0.5) for name in found], rows, placement, line=True)
            ends.setdefault(ax, {})[placement] = rows["mean"][-1]
    ax.set_xticks(range(len(affines)), [NAMES[name] for name in affines])
    ax.set_xlim(-0.5, len(affines) - 0.5)
