"""The whole grid at a glance: test accuracy of every shown cell, a panel per placement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.figure import Figure

from bn_ablate.analysis.figures.against import ERROR_SCALE, accuracies, by_error
from bn_ablate.analysis.figures.style import COLUMN, LOOKS, ON_DARK, ON_LIGHT, PAGE, PAPER, Chart, short, styled
from bn_ablate.analysis.judge.selection import axes_in_order, axis_label, hold, level_label, levels_of
from bn_ablate.results import Results

COLORS = "YlGnBu_r"


@styled
def overview(results: Results) -> Chart | None:
    """Mean final test accuracy over a grid of two axes; nothing where the study has no axis besides placement."""
    columns, rows = _grid_axes(results)
    if columns is None:
        return None
    shown = [axis for axis in (columns, rows) if axis]
    held = hold(results, ("placement", *shown))
    cells = held.lanes.group_by("placement", *shown, maintain_order=True).agg(
        pl.col("final_test_accuracy").mean(), (pl.col("status") == "diverged").sum().alias("diverged")
    )
    values = cells["final_test_accuracy"] * 100
    if not values.is_finite().any():
        return None
    placements = [p for p in levels_of(results, "placement") if p in cells["placement"]]
    x, y = _ordered(results.axes[columns]), _ordered(results.axes[rows]) if rows else [None]
    width = COLUMN if len(placements) == 1 else PAGE
    figure = Figure(figsize=(width, 0.85 + 0.26 * max(len(y), 3)))
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    spaced, top = by_error(low, high), max(high, low + 0.1)
    norm = FuncNorm(ERROR_SCALE, vmin=low, vmax=top) if spaced else Normalize(vmin=low, vmax=top)
    panels = figure.subplots(1, len(placements), squeeze=False, sharey=True)[0]
    written = len(x) * len(placements) <= (9 if width == COLUMN else 20)
    for ax, placement in zip(panels, placements, strict=True):
        ax.set_title(f"{LOOKS[placement].glyph} {LOOKS[placement].label}", color=LOOKS[placement].color)
        mesh = _heat(ax, cells.filter(placement=placement), shown, x, y, norm, written)
        _ticks(ax, x, y if rows else [], width / len(placements))
    panels[0].invert_yaxis()
    if rows not in (None, "activation"):
        panels[0].set_ylabel(axis_label(str(rows)).capitalize())
    ticks = list(accuracies(low, high)) if spaced else None
    bar = figure.colorbar(mesh, ax=list(panels), shrink=0.9, aspect=14, pad=0.015, ticks=ticks)
    if ticks is not None:
        bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
    bar.outline.set_visible(False)
    bar.set_label("Test accuracy (%)")
    figure.supxlabel(axis_label(columns).capitalize(), fontsize=7.5)
    diverged = int(cells["diverged"].sum())
    by = " and ".join(map(axis_label, shown))
    caption = (
        f"Final test accuracy, mean over seeds, by {by} for each placement of BN: the lighter, the better. "
        + ("Colours are spaced by the logarithm of the error. " if spaced else "")
        + "The cell table has the intervals. "
        + (f"A dagger gives the number of lanes of a cell that diverged ({diverged} in all). " if diverged else "")
        + held.note
    ).strip()
    alt = f"Heat maps of test accuracy by {by}, a panel per placement of BN."
    return Chart("overview", "Overview of the grid", caption, alt, figure)


def _grid_axes(results: Results) -> tuple[str | None, str | None]:
    """The axes of columns and rows: dropout rate and activation where they vary, else the first that do."""
    varied = [axis for axis in axes_in_order(results) if len(results.axes[axis]) > 1 and axis != "placement"]
    columns = next(
        (axis for axis in ["dropout_rate", *(a for a in varied if a != "activation"), *varied] if axis in varied), None
    )
    rows = next((axis for axis in ["activation", *varied] if axis in varied and axis != columns), None)
    return columns, rows


def _ordered(levels: tuple[Any, ...]) -> list[Any]:
    return sorted(levels) if all(isinstance(level, int | float) for level in levels) else list(levels)


def _heat(
    ax: Axes, cells: pl.DataFrame, shown: list[str], x: list[Any], y: list[Any], norm: Normalize, written: bool
) -> Any:
    """Colour the cells of one placement; write the accuracy into each and the number of diverged lanes beside it."""
    values = np.full((len(y), len(x)), np.nan)
    marks: dict[tuple[int, int], int] = {}
    for cell in cells.iter_rows(named=True):
        i, j = y.index(cell[shown[1]]) if len(shown) > 1 else 0, x.index(cell[shown[0]])
        values[i, j] = 100 * cell["final_test_accuracy"]
        marks[i, j] = cell["diverged"]
    mesh = ax.pcolormesh(np.ma.masked_invalid(values), cmap=COLORS, norm=norm, edgecolors=PAPER, linewidth=1)
    for (i, j), diverged in marks.items():
        color = ON_LIGHT if norm(values[i, j]) > 0.5 else ON_DARK
        dagger = f"†{diverged}" if diverged else ""
        if written:
            ax.text(j + 0.5, i + 0.5, f"{values[i, j]:.1f}", ha="center", va="center", fontsize=7, color=color)
            ax.text(j + 0.96, i + 0.04, dagger, ha="right", va="top", fontsize=5, color=color)
        else:
            ax.text(j + 0.5, i + 0.5, dagger, ha="center", va="center", fontsize=7, color=color)
    return mesh


def _ticks(ax: Axes, x: list[Any], y: list[Any], width: float) -> None:
    """Name rows and columns; where a panel of `width` inches cannot hold all, turn names and leave out numbers."""
    names = [short(level) for level in x]
    crowded = sum(4.5 * len(name) + 6 for name in names) / (72 * 0.8 * width)
    if crowded > 1 and isinstance(x[0], str):
        ax.set_xticks(np.arange(len(x)) + 0.5, names, rotation=40, ha="right", rotation_mode="anchor")
    else:
        every = max(1, math.ceil(crowded))
        ax.set_xticks(np.arange(0, len(x), every) + 0.5, names[::every])
    ax.set_yticks(np.arange(len(y)) + 0.5, [level_label(level) for level in y])
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
