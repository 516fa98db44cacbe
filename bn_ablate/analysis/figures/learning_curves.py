"""Loss along training, a colour per placement and a panel per activation."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes

from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import (
    FIRST,
    LOOKS,
    SECOND,
    Chart,
    log_axis,
    panel_titles,
    small_multiples,
    spans_decades,
    styled,
)
from bn_ablate.analysis.judge.selection import hold, levels_of, summarize
from bn_ablate.results import Results


@styled
def learning_curves(results: Results, by: str = "activation") -> Chart | None:
    """Training and test loss, both in evaluation mode, over steps, a panel per level of the axis `by`.

    Nothing where every lane diverged.
    """
    held = hold(results, ("placement", by))
    lanes = held.lanes.filter(status="ok").select("lane_id", "placement", by, "seed")
    history = results.of_lanes("history", lanes)
    if not history["test_loss"].is_finite().any():
        return None
    levels, placements = levels_of(results, by), levels_of(results, "placement")
    titles = panel_titles(by, levels)
    figure, panels = small_multiples(titles)
    ends: dict[Axes, dict[str, float]] = {}
    drawn: list[float] = []
    for ax, level in zip(panels, levels, strict=True):
        for placement in placements:
            rows = history.filter(pl.col(by).eq_missing(pl.lit(level)), placement=placement)
            look = LOOKS[placement]
            for part, style in (("train", SECOND), ("test", FIRST)):
                curve = summarize(rows, ["step"], f"{part}_loss", log=True).sort("step")
                if curve.is_empty():
                    continue
                x = curve["step"].to_numpy()
                ax.fill_between(x, curve["low"], curve["high"], color=look.color, alpha=0.14, linewidth=0)
                marks = range(0, len(x), max(1, -(-len(x) // 4)))
                ax.plot(x, curve["mean"], color=look.color, **style)
                if part == "test":
                    ax.plot(x[marks], curve["mean"].to_numpy()[marks], look.marker, color=look.color, markersize=3)
                drawn += curve["mean"].to_list()
                if part == "test":
                    ends.setdefault(ax, {})[placement] = curve["mean"][-1]
    if spans_decades(drawn):
        log_axis(panels[0])
    figure.supylabel("Loss (nats)", fontsize=7.5)
    figure.supxlabel("Step", fontsize=7.5)
    label_ends(figure, panels, ends, [("test", FIRST), ("train", SECOND)])
    diverged = held.lanes.filter(status="diverged").height
    caption = (
        "Training loss (dashed) and test loss (solid) along training, both in evaluation mode: geometric mean over "
        "seeds, with its 95% Student t interval. "
        + (f"{diverged} of {held.lanes.height} lanes diverged and are left out. " if diverged else "")
        + held.note
    ).strip()
    alt = (
        f"Training and test loss against the step; colours: {', '.join(LOOKS[p].label for p in placements)}; "
        f"panels: {', '.join(titles)}."
    )
    return Chart("learning_curves", "Learning curves", caption, alt, figure)
