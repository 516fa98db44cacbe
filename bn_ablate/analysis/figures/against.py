"""A metric against the levels of a numeric axis, a line per placement and a panel per activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.ticker import FixedLocator, FuncFormatter

from bn_ablate.analysis.figures.end_names import label_ends
from bn_ablate.analysis.figures.style import (
    LOOKS,
    PAPER,
    Chart,
    axis_text,
    panel_titles,
    short,
    small_multiples,
    spans_decades,
    styled,
)
from bn_ablate.analysis.judge.selection import axis_label, hold, levels_of, summarize
from bn_ablate.config.quantity import MINUS, quantity
from bn_ablate.results import Results


class Subject(NamedTuple):
    """What a figure of this module shows: metric, words, and what becomes of diverged lanes."""

    metric: str
    title: str
    meaning: str
    diverged: str


SUBJECTS = {
    "accuracy": Subject(
        "final_test_accuracy",
        "Test accuracy",
        "Final test accuracy",
        "they count with the accuracy that they had",
    ),
    "gap": Subject(
        "gap",
        "Generalization gap",
        "Test loss minus training loss, both in evaluation mode,",
        "they are left out",
    ),
    "underfitting": Subject(
        "underfitting",
        "Underfitting",
        "Training loss in evaluation mode, minus that of the same network and seed at dropout rate 0,",
        "they are left out",
    ),
}


LEAST_ERROR = 0.05
"""In percent: what errors are taken for at least, where their logarithm is."""
ROUND_ACCURACIES = (90, 99, 50, 99.9, 80, 95, 98, 99.5, 99.8, 0, 70, 60, 85, 40, 30, 20, 97, 93, 75, 98.5, 99.3, 99.7)
"""In percent, the roundest first: for ticks, as many as there is room for."""
APART = 0.09
"""Of the length of an axis: how far its ticks are apart at least, so that their numbers do not touch."""
LINEAR_UP_TO = 0.01


def numeric_axes(results: Results) -> list[str]:
    """The axes of two or more levels that are all numbers."""
    return [
        axis
        for axis, levels in results.axes.items()
        if len(levels) > 1 and all(isinstance(level, int | float) and not isinstance(level, bool) for level in levels)
    ]


@styled
def against(results: Results, axis: str, what: str, by: str = "activation") -> Chart | None:
    """A subject (accuracy, gap, underfitting) against `axis`, a panel per level of the axis `by`.

    Nothing where the study has no such axis or numbers.
    """
    subject = SUBJECTS[what]
    if axis not in numeric_axes(results) or axis == by:
        return None
    held = hold(results, ("placement", by, axis))
    lines = _lines(held.lanes, axis, subject.metric, by)
    if lines.is_empty():
        return None
    levels, placements = levels_of(results, by), levels_of(results, "placement")
    place = _Places(sorted(results.axes[axis]))
    titles = panel_titles(by, levels)
    figure, panels = small_multiples(titles, height=1.75)
    ends: dict[Axes, dict[str, float]] = {}
    for ax, level in zip(panels, levels, strict=True):
        place.prepare(ax)
        for placement in placements:
            line = lines.filter(pl.col(by).eq_missing(pl.lit(level)), placement=placement)
            if line.height:
                _draw(ax, placement, [place(at) for at in line[axis]], line)
                ends.setdefault(ax, {})[placement] = line["mean"][-1]
    scale = scale_axis(panels[0], what, *_extent(lines))
    figure.supylabel(axis_text(quantity(subject.metric)), fontsize=7.5)
    figure.supxlabel(axis_label(axis).capitalize(), fontsize=7.5)
    label_ends(figure, panels, ends)
    diverged = held.lanes.filter(status="diverged").height
    parts = [
        f"{subject.meaning} against {axis_label(axis)}: mean over seeds, with its 95% Student t interval.",
        scale,
        f"Hollow markers: cells where lanes diverged ({diverged} of {held.lanes.height}); {subject.diverged}."
        if diverged
        else "",
        held.note,
    ]
    alt = (
        f"{subject.title} against {axis_label(axis)}; lines: {', '.join(LOOKS[p].label for p in placements)}; "
        f"panels: {', '.join(titles)}. The cell table has the numbers."
    )
    name = (
        f"accuracy_vs_{axis.removesuffix('_rate') if axis == 'dropout_rate' else axis}" if what == "accuracy" else what
    )
    title = f"{subject.title} against {axis_label(axis)}"
    return Chart(name, title, " ".join(filter(None, parts)), alt, figure)


def _lines(lanes: pl.DataFrame, axis: str, metric: str, by: str) -> pl.DataFrame:
    """Mean and interval of `metric` in the units shown, and the diverged lanes, by panel, placement and level."""
    keys = [by, "placement", axis]
    diverged = lanes.group_by(keys).agg((pl.col("status") == "diverged").sum().alias("diverged"))
    means = summarize(lanes, keys, metric).with_columns(pl.col("mean", "low", "high") * quantity(metric).unit.scale)
    return means.join(diverged, on=keys, nulls_equal=True).sort(axis)


def _extent(lines: pl.DataFrame) -> tuple[float, float]:
    """What the y axis has to show: every mean, and the intervals of the cells without diverged lanes."""
    sure = lines.filter(diverged=0)
    shown = np.concatenate([lines["mean"].to_numpy(), sure["low"].to_numpy(), sure["high"].to_numpy()])
    return float(np.nanmin(shown)), float(np.nanmax(shown))


def _draw(ax: Axes, placement: str, x: list[float], line: pl.DataFrame) -> None:
    """One line with its interval; the markers of cells with diverged lanes are hollow."""
    look = LOOKS[placement]
    ax.fill_between(x, line["low"], line["high"], color=look.color, alpha=0.13, linewidth=0)
    ax.plot(x, line["mean"], color=look.color, linestyle=look.line, zorder=3)
    for x_i, y, diverged in zip(x, line["mean"], line["diverged"], strict=True):
        face, edge = (PAPER, look.color) if diverged else (look.color, PAPER)
        mark: dict[str, Any] = {"markerfacecolor": face, "markeredgecolor": edge, "markeredgewidth": 0.7}
        ax.plot(x_i, y, look.marker, markersize=4.2, zorder=4, **mark)


def scale_axis(ax: Axes, what: str, low: float, high: float) -> str:
    """Scale the y axis for values from `low` to `high`; what the caption has to say of it, if anything.

    Where errors (100 - accuracy) differ by a factor of 5 or more, accuracies are spaced by their logarithm; where
    underfitting reaches far above 0.01, it is linear up to there and logarithmic above.
    """
    to: Callable[[Any], Any]
    back: Callable[[Any], Any]
    if what == "accuracy" and by_error(low, high):
        to, back = ERROR_SCALE
        ax.set_yscale("function", functions=(to, back))
        ax.yaxis.set_major_locator(FixedLocator(accuracies(low, high)))
        said = "The accuracy axis is logarithmic in the error."
    elif what == "underfitting" and high > 30 * LINEAR_UP_TO:
        ax.set_yscale("symlog", linthresh=LINEAR_UP_TO, linscale=0.5)
        transform = SymmetricalLogTransform(10, LINEAR_UP_TO, 0.5)
        to, back = transform.transform, transform.inverted().transform
        ax.yaxis.set_major_locator(FixedLocator([-1, -0.1, -LINEAR_UP_TO, 0, LINEAR_UP_TO, 0.1, 1, 10]))
        said = f"The axis is linear up to {LINEAR_UP_TO:g} and logarithmic above."
    else:
        to, back, said = np.asarray, np.asarray, ""
    bottom, top = float(to(low)), float(to(high))
    pad = 0.06 * (top - bottom) or 1.0
    ax.set_ylim(float(back(bottom - pad)), float(back(top + pad)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", MINUS)))
    return said


def by_error(low: float, high: float) -> bool:
    """Whether accuracies from `low` to `high`, in percent, are to be spaced by the logarithm of the error."""
    return 100 - low >= 5 * max(100 - high, LEAST_ERROR)


def accuracies(low: float, high: float) -> tuple[float, ...]:
    """Round accuracies from `low` to `high`, for ticks of a scale that is spaced so."""
    place = ERROR_SCALE[0]
    kept: list[float] = []
    for tick in ROUND_ACCURACIES:
        near = (abs(float(place(tick) - place(other))) < APART * float(place(high) - place(low)) for other in kept)
        if low <= tick <= high and not any(near):
            kept.append(tick)
    return tuple(sorted(kept))


def _from_error(accuracy: Any) -> Any:
    return -np.log10(np.maximum(100 - np.asarray(accuracy, dtype=float), LEAST_ERROR))


ERROR_SCALE = _from_error, lambda place: 100 - 10.0 ** -np.asarray(place)
"""From accuracy, in percent, to its place on such a scale, and back."""


class _Places:
    """Where levels stand on the x axis: by value, by log value over decades, by rank where 0 and decades meet."""

    def __init__(self, levels: list[Any]) -> None:
        self.levels = levels
        self.log = spans_decades(levels)
        self.rank = not self.log and spans_decades([level for level in levels if level != 0])

    def __call__(self, level: Any) -> float:
        return float(self.levels.index(level) if self.rank else level)

    def prepare(self, ax: Axes) -> None:
        if self.log:
            ax.set_xscale("log")
        elif self.rank:
            ax.set_xticks(range(len(self.levels)), [short(level) for level in self.levels])
        elif len(self.levels) <= 6:
            ax.set_xticks(self.levels, [short(level) for level in self.levels])
