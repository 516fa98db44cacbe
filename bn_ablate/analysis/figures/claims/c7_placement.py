"""C7: test accuracy by placement, activation and architecture, as paired differences."""

from __future__ import annotations

import polars as pl

from bn_ablate.analysis.figures.claims.drawing import flat_dots, means, plain
from bn_ablate.analysis.figures.style import GRID, MUTED, Chart, small_multiples
from bn_ablate.analysis.judge.selection import hold, level_label, levels_of
from bn_ablate.config.claims import figure
from bn_ablate.config.kinds.equivalence import Equivalence
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

METRIC = "final_test_accuracy"
PAIRS = (("post", "none", "post"), ("pre", "none", "pre"), ("pre", "post", None))
TITLES = ("BN after − no BN", "BN before − no BN", "BN before − BN after")


@figure("placement", "placement", "activation")
def placement(results: Results) -> Chart | None:
    """Differences of test accuracy between placements, paired by seed: a row per activation and architecture."""
    lanes, note = hold(results, ("placement", "activation", "architecture", "width"))
    if set(levels_of(results, "placement")) != {"none", "pre", "post"} or lanes[METRIC].drop_nulls().is_empty():
        return None
    accuracy = quantity(METRIC)
    kinds = list(levels_of(results, "architecture"))
    if "architecture" not in results.axes:
        lanes = lanes.with_columns(pl.lit(kinds[0]).alias("architecture"))
    rows = [(kind, name) for kind in kinds for name in levels_of(results, "activation")]
    wide = lanes.pivot(
        "placement", index=["architecture", "activation", "seed"], values=METRIC, aggregate_function="mean"
    )
    margins = [h.margin for h in results.study.hypotheses if isinstance(h, Equivalence) and h.metric == METRIC]
    figure, panels = small_multiples(TITLES, height=0.55 + 0.2 * len(rows), sharex=False)
    for ax, (a, b, look) in zip(panels, PAIRS, strict=True):
        if look is None and margins:
            ax.axvspan(-100 * margins[0], 100 * margins[0], color=GRID, linewidth=0)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        differences = wide.with_columns((pl.col(a) - pl.col(b)).alias("accuracy_gap"))
        for y, (kind, name) in enumerate(rows):
            row = means(differences.filter(architecture=kind, activation=name), [], "accuracy_gap")
            if row.height:
                flat_dots(ax, [y + 0.5 * kinds.index(kind)], row, look)
        plain(ax, "x")
    places = [y + 0.5 * kinds.index(kind) for y, (kind, _) in enumerate(rows)]
    panels[0].set_yticks(places, [f"{kind.upper()}, {level_label(name)}" for kind, name in rows])
    panels[0].set_ylim(places[-1] + 0.6, -0.6)
    figure.supxlabel(f"Difference of {accuracy.label} ({accuracy.unit.of_differences})", fontsize=7.5)
    band = f" The grey band is the margin of equivalence, ±{100 * margins[0]:g} points." if margins else ""
    caption = (
        "Final test accuracy of one placement minus that of another, in the same network and seed: mean over seeds, "
        f"with its 95% Student t interval. Right of zero the first does better; every panel has its own scale.{band} "
        f"{note}"
    )
    alt = f"Differences of test accuracy by activation and architecture; panels: {', '.join(TITLES)}."
    return Chart("claim", "Before or after the activation", " ".join(caption.split()), alt, figure)
