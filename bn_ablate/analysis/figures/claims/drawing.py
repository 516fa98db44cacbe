"""The steps that the figures of the claims share: numbers over seeds, intervals as dots and as bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bn_ablate.analysis.figures.style import INK, LOOKS, PAPER, Look
from bn_ablate.analysis.judge.selection import summarize
from bn_ablate.config.quantity import MINUS, quantity

NEUTRAL = Look("", INK, "D", "◆", "solid")
INTERVALS = "Means over seeds, with 95% Student t intervals."


def means(lanes: pl.DataFrame, by: Sequence[str], metric: str) -> pl.DataFrame:
    """Mean and interval over seeds of `metric`, in the unit that people are shown."""
    return summarize(lanes, by, metric).with_columns(pl.col("mean", "low", "high") * quantity(metric).unit.scale)


def dots(
    ax: Axes, x: Sequence[float], rows: pl.DataFrame, placement: str, *, line: bool = False, hollow: bool = False
) -> None:
    """Means as markers with their intervals as bars, joined by the placement's line where `line`."""
    look = LOOKS[placement]
    if line:
        ax.plot(x, rows["mean"], color=look.color, linestyle=look.line, linewidth=1.1, zorder=2)
    ax.vlines(x, rows["low"], rows["high"], color=look.color, linewidth=1.4, zorder=3)
    ax.plot(x, rows["mean"], look.marker, zorder=4, **_marker(look.color, hollow))


def flat_dots(ax: Axes, y: Sequence[float], rows: pl.DataFrame, placement: str | None, *, hollow: bool = False) -> None:
    """The same, lying: the metric along x, a row for each `y`; in ink for what is of no one placement."""
    look = LOOKS[placement] if placement else NEUTRAL
    ax.hlines(y, rows["low"], rows["high"], color=look.color, linewidth=1.4, zorder=3)
    ax.plot(rows["mean"], y, look.marker, zorder=4, **_marker(look.color, hollow))


def curve(ax: Axes, x: Sequence[float], rows: pl.DataFrame, placement: str) -> None:
    """Means as a line in the placement's style, within a band that is their interval."""
    look = LOOKS[placement]
    ax.fill_between(x, rows["low"], rows["high"], color=look.color, alpha=0.13, linewidth=0)
    ax.plot(x, rows["mean"], color=look.color, linestyle=look.line, zorder=3)
    ax.plot(x, rows["mean"], look.marker, zorder=4, **_marker(look.color))


def band(ax: Axes, rows: pl.DataFrame, placement: str) -> None:
    """One mean as a level line through the whole panel, within its interval."""
    look, (row,) = LOOKS[placement], rows.iter_rows(named=True)
    if row["low"] is not None:
        ax.axhspan(row["low"], row["high"], color=look.color, alpha=0.16, linewidth=0)
    ax.axhline(row["mean"], color=look.color, linestyle=look.line, linewidth=1.2, zorder=2)


def name_inside(ax: Axes, placement: str, y: float) -> None:
    """The placement's name on its level line, at the right end of the panel."""
    look = LOOKS[placement]
    ax.annotate(
        look.label, (1, y), (-3, 2), xycoords=("axes fraction", "data"), textcoords="offset points",
        ha="right", va="bottom", color=look.color, fontsize=6.5, zorder=1,
    )  # fmt: skip


def plain(ax: Axes, axis: str = "y") -> None:
    """Few round ticks, written out, with a true minus sign."""
    of = ax.yaxis if axis == "y" else ax.xaxis
    of.set_major_locator(MaxNLocator(5))
    of.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))


def _marker(color: str, hollow: bool = False) -> dict[str, Any]:
    face, edge = (PAPER, color) if hollow else (color, PAPER)
    return {
        "markersize": 4.4,
        "markerfacecolor": face,
        "markeredgecolor": edge,
        "markeredgewidth": 0.8 if hollow else 0.6,
    }
