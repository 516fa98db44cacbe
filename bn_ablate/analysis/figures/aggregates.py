"""Placements over all cells that they share: performance profile, interquartile mean, probability of improvement."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn_ablate.analysis.figures.against import scale_axis
from bn_ablate.analysis.figures.style import LOOKS, MUTED, PAGE, PAPER, Chart, styled
from bn_ablate.analysis.judge.descriptive import (
    Described,
    by_placement,
    described,
    iqm,
    performance_profile,
    probability_of_improvement,
)
from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.quantity import quantity
from bn_ablate.results import Results

METRIC = "final_test_accuracy"
RESAMPLES = 1000
POINTS = 121


@styled
def aggregates(results: Results) -> Chart | None:
    """Test accuracy of each placement over cells: how many networks get how far, the middle of them, who is better."""
    scores = by_placement(results, METRIC)
    if len(scores) < 2 or next(iter(scores.values())).shape[1] < 2:
        return None
    metric = quantity(METRIC)
    figure = Figure(figsize=(PAGE, 2.0))
    profile, middle, better = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    said = _profiles(profile, scores)
    profile.set_title("performance profile")
    profile.set_xlabel("networks that do better (%)")
    profile.set_ylabel(metric.axis)
    _rows(middle, {name: described(iqm, values, resamples=RESAMPLES) for name, values in scores.items()}, 1)
    middle.set_title("interquartile mean")
    middle.set_xlabel(metric.axis)
    first, *others = scores
    against = {
        name: described(probability_of_improvement, scores[name], scores[first], resamples=RESAMPLES) for name in others
    }
    better.axvline(50, color=MUTED, linewidth=0.9)
    _rows(better, against, 0)
    better.set_title(f"better than {PLACEMENT_LABELS[first]}")
    better.set_xlabel("probability (%)")
    n_seeds, n_cells = scores[first].shape
    caption = (
        f"Final test accuracy over the {n_cells} cells that all placements have, {n_seeds} networks each. Left: the "
        f"share of networks above each accuracy. {said} Middle: the mean without the lowest and the highest quarter of "
        f"networks. Right: how often a network beats one of the same cell with {PLACEMENT_LABELS[first]}, ties "
        "counted half. 95% intervals by stratified bootstrap over seeds (Agarwal et al., 2021); they describe this "
        "grid, and no verdict rests on them."
    )
    alt = "; ".join(
        f"{PLACEMENT_LABELS[name]}: interquartile mean {metric.unit.value(iqm(values))} {metric.unit.shown}"
        for name, values in scores.items()
    )
    return Chart("aggregates", "Placements over all cells", caption, f"{alt}.", figure)


def _profiles(ax: Axes, scores: dict[str, Vector]) -> str:
    everything = np.concatenate([values.ravel() for values in scores.values()])
    thresholds = np.unique(np.quantile(everything, np.linspace(0.02, 1, POINTS)))
    for name, values in scores.items():
        look = LOOKS[name]
        found = described(lambda runs: performance_profile(runs, thresholds), values, resamples=RESAMPLES)
        low, high, value = (100 * share for share in (found.low, found.high, found.value))
        ax.fill_betweenx(100 * thresholds, low, high, color=look.color, alpha=0.16, linewidth=0)
        ax.plot(value, 100 * thresholds, color=look.color, linestyle=look.line)
    ax.set_xlim(-2, 102)
    return scale_axis(ax, "accuracy", 100 * float(thresholds[0]), 100 * float(thresholds[-1]))


def _rows(ax: Axes, found: dict[str, Described], digits: int) -> None:
    """A row for each placement: the number with its interval, in percent, written above it."""
    for y, (name, numbers) in enumerate(found.items()):
        look, (value, low, high) = LOOKS[name], (100 * number for number in numbers)
        ax.hlines(y, low, high, color=look.color, linewidth=1.4)
        ax.plot(value, y, look.marker, color=look.color, markeredgecolor=PAPER, markersize=5, markeredgewidth=0.6)
        ax.annotate(
            f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]",
            (value, y), (0, 6), textcoords="offset points", ha="center", color=look.color, fontsize=6.5,
        )  # fmt: skip
    ax.set_yticks(range(len(found)), [LOOKS[name].label for name in found])
    for label, name in zip(ax.get_yticklabels(), found, strict=True):
        label.set_color(LOOKS[name].color)
    ax.set_ylim(len(found) - 0.4, -0.75)
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.6)
