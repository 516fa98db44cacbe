"""One look for all figures: sizes, type, colours, and the drawing steps they share.

Every placement has one colour, one marker and one line style in all figures, so that they differ in greyscale
and by colour-blind readers (the colours are Okabe and Ito's). Figures are made without pyplot and hold no global state.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bn_ablate.analysis.judge.selection import PLACEMENT_LABELS, axis_label, level_label
from bn_ablate.config.quantity import Quantity

COLUMN = 3.3
PAGE = 6.8
"""Widths of a figure in one and in two columns of a paper, in inches."""

INK = "#20242a"
MUTED = "#6a717b"
GRID = "#e6e8eb"
PAPER = "#ffffff"
ON_LIGHT = "#0a0a0a"
ON_DARK = "#fdfdfd"
"""Text on coloured cells, the same in light and dark surroundings."""


for font in sorted(Path(__file__).parent.glob("fonts/*.ttf")):
    fontManager.addfont(font)


class Look(NamedTuple):
    """How a series is drawn and named; `glyph` is the marker as a letter."""

    label: str
    color: str
    marker: str
    glyph: str
    line: Any


FIRST: dict[str, Any] = {"linewidth": 1.5}
SECOND: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (2.2, 1.2))}
"""Line styles where each placement has two lines."""

LOOKS = {
    "none": Look(PLACEMENT_LABELS["none"], "#4d4d4d", "o", "●", (0, (1, 1.1))),
    "pre": Look(PLACEMENT_LABELS["pre"], "#0072b2", "s", "■", "solid"),
    "post": Look(PLACEMENT_LABELS["post"], "#d55e00", "^", "▲", (0, (4.5, 1.3))),
}

VERDICT_COLORS = {
    "supported": "#0b6e4f",
    "contradicted": "#b3261e",
    "equivalent": "#1d5fa8",
    "inconclusive": "#5d6570",
}

THEME = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    PAPER: "paper",
    **{look.color: placement for placement, look in LOOKS.items()},
    **{color: verdict for verdict, color in VERDICT_COLORS.items()},
}
"""Colours that follow the page when a figure stands in the HTML report, and the style variables that they become."""

RC: dict[str, Any] = {
    "font.family": ["Figure Sans", "DejaVu Sans"],
    "font.size": 7.5,
    "text.color": INK,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.labelsize": 7.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.6,
    "lines.markeredgewidth": 0.9,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.labelspacing": 0.3,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.6,
    "figure.dpi": 200,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,  # by which the PDFs, too, divide the characters of a font: 3 embeds it once for every 256
    "svg.fonttype": "path",
    "svg.hashsalt": "bn_ablate",
}


class Chart(NamedTuple):
    """A figure, with the file name, heading, caption and alternative text that go with it."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    @property
    def narrow(self) -> bool:
        """Whether it is one column wide."""
        return bool(self.figure.get_figwidth() <= COLUMN)

    def _repr_html_(self) -> str:
        """The figure and its caption, as a notebook shows them."""
        png = b64encode(image(self, "png")).decode()
        picture = f'<img src="data:image/png;base64,{png}" alt="{escape(self.alt)}">'
        return f"<figure>{picture}<figcaption>{escape(self.caption)}</figcaption></figure>"


P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` with the settings of this module, whatever the caller's Matplotlib settings are."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(cast("Any", RC))
            return function(*args, **kwargs)

    return inside


@styled
def image(chart: Chart, form: str) -> bytes:
    """The figure as the content of a file of the format `form`; the same figure gives the same bytes."""
    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    content, figure = BytesIO(), chart.figure
    canvas, dpi = figure.canvas, figure.dpi
    try:  # by its canvas: `savefig` draws everything once more before, to see how it lies
        getattr(get_registered_canvas_class(form)(figure), f"print_{form}")(content, metadata=dates[form])
    finally:
        figure.dpi = dpi
        figure.set_canvas(canvas)
    return content.getvalue()


def axis_text(metric: Quantity) -> str:
    """What the y axis of a small figure is called that shows `metric`, in lines that it has room for."""
    return fill(metric.axis, 32)


def panel_titles(by: str, levels: Sequence[Any]) -> list[str]:
    """What the panels of a figure are called that has one for each level of `by`."""
    names = [level_label(level) for level in levels]
    return names if by == "activation" else [f"{axis_label(by)} {name}" for name in names]


def small_multiples(
    titles: Sequence[str], height: float = 1.5, columns: int = 4, **share: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with one panel per title, in rows of up to `columns`; a single panel is one column wide."""
    n = len(titles)
    across = min(n, columns)
    down = -(-n // across)
    width = COLUMN if n == 1 else PAGE
    figure = Figure(figsize=(width, height * down + 0.45 if n > 1 else 2.3))
    grid = figure.subplots(down, across, squeeze=False, **({"sharex": True, "sharey": True} | share))
    panels = list(grid.flat)
    for ax in panels[n:]:
        ax.remove()
    for i, (ax, title) in enumerate(zip(panels, titles, strict=False)):
        ax.set_title(level_label(title))
        if i + across >= n:
            ax.tick_params(labelbottom=True)
    return figure, panels[:n]


def log_axis(ax: Axes) -> None:
    """Make the y axis of what is drawn logarithmic, its ticks written out; below two decades, with ticks between."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low >= 100 else (1.0, 2.0, 5.0), numticks=6))
    written = power if low < 1e-5 or high > 1e5 else "{:g}".format
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: written(y)))
    ax.yaxis.set_minor_formatter(NullFormatter())


def power(value: float) -> str:
    """A power of ten as 10⁻⁶."""
    exponent = str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{exponent}"


def short(level: Any) -> str:
    """A level as narrow as it can be written: .1 for 0.1."""
    text = level_label(level)
    return text.removeprefix("0") if isinstance(level, float) and 0 < level < 1 else text


def spans_decades(values: Any) -> bool:
    """Whether positive `values` range over a factor of 30 or more, so that a log axis serves them better."""
    x = np.asarray(values, dtype=float)
    x = x[np.isfinite(x)]
    return bool(x.size and x.min() > 0 and x.max() / x.min() >= 30)
