"""Names of lines beside the last panel of a row, where the lines end, moved apart where they would touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from bn_ablate.analysis.figures.style import INK, LOOKS

LINE = 9.5
"""From a line of text to the next, in points."""


class Beside(NamedTuple):
    """Names of lines beside a panel, the heights in it at which these end, and the lines of text below them."""

    ax: Axes
    wanted: dict[str, float]
    texts: dict[str, Annotation]
    below: float

    def heights(self) -> dict[str, float]:
        """Where the names stand in a panel as high as it is now."""
        line = LINE / (self.ax.get_window_extent().height * 72 / self.ax.figure.dpi)
        return spread(self.wanted, line, self.below * line)


class NamesApart(ConstrainedLayoutEngine):
    """Constrained layout, which decides how high panels are, and so how far apart names stand beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.beside: list[Beside] = []

    def execute(self, fig: Figure) -> None:
        """Put everything in its place."""
        super().execute(fig)
        for beside in self.beside:
            for name, y in beside.heights().items():
                beside.texts[name].xy = (1, y)


def label_ends(
    figure: Figure,
    panels: Sequence[Axes],
    ends: dict[Axes, dict[str, float]],
    lines: Sequence[tuple[str, dict[str, Any]]] = (),
) -> None:
    """Name the lines of each row beside its last panel, where they end, moved apart where the names would touch.

    `ends` holds, for a panel, the y value at which the line of each placement ends; `lines` names line styles below.
    """
    figure.set_layout_engine(apart := NamesApart())
    for ax in row_ends(panels):
        names = ends.get(ax, {})
        if not names:
            continue
        to_axes = ax.transData + ax.transAxes.inverted()
        ax.get_ylim()  # which are known when one asks for them
        wanted = {name: float(to_axes.transform((1.0, y))[1]) for name, y in names.items()}
        if lines:
            handles = [Line2D([], [], color=INK, **style) for _, style in lines]
            ax.legend(
                handles,
                [name for name, _ in lines],
                loc="lower left",
                bbox_to_anchor=(1, 0),
                bbox_transform=ax.transAxes,
            )
        beside = Beside(ax, wanted, {}, len(lines) + 1.3 if lines else 0.0)
        for name, y in beside.heights().items():
            look = LOOKS[name]
            beside.texts[name] = ax.annotate(
                f"{look.glyph} {look.label}",
                (1, y),
                (5, 0),
                xycoords="axes fraction",
                textcoords="offset points",
                va="center",
                color=look.color,
                annotation_clip=False,
            )
        apart.beside.append(beside)


def row_ends(panels: Sequence[Axes]) -> list[Axes]:
    """The last panel of every row."""
    last: dict[int, Axes] = {}
    for ax in panels:
        spec = ax.get_subplotspec()
        last[spec.rowspan.start if spec else 0] = ax
    return list(last.values())


def spread(wanted: dict[str, float], gap: float, lowest: float = 0.0) -> dict[str, float]:
    """Heights near to the wanted ones, in the same order, at least `gap` apart, between `lowest` and 1."""
    names = sorted(wanted, key=lambda name: wanted[name])
    placed = [min(max(wanted[name], lowest), 1.0) for name in names]
    for _ in range(50):
        for i in range(len(placed) - 1):
            short = gap - (placed[i + 1] - placed[i])
            if short > 1e-9:
                placed[i] -= short / 2
                placed[i + 1] += short / 2
        over, under = max(placed[-1] - 1, 0), max(lowest - placed[0], 0)
        placed = [y - over + under for y in placed]
    return dict(zip(names, placed, strict=True))
