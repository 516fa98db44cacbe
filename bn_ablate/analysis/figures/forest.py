"""Every hypothesis of the study at a glance: a forest plot of estimates, intervals, margins and verdicts."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn_ablate.analysis.figures.claims.drawing import plain
from bn_ablate.analysis.figures.style import GRID, INK, MUTED, PAGE, VERDICT_COLORS, Chart, styled
from bn_ablate.analysis.judge.groups import Group, groups
from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS, interval_text, scale_of, texts
from bn_ablate.config.quantity import Unit
from bn_ablate.results import Results

MOST_ROWS = 60
"""More hypotheses than these do not fit one figure; the primary ones are drawn, then."""
LINE = 0.17
"""The height of a line, in inches."""


class Panel(NamedTuple):
    """Hypotheses about one claim that are estimated in one unit; `signed` if zero is no effect."""

    claim: str | None
    unit: Unit
    signed: bool
    groups: list[Group]

    @property
    def lines(self) -> int:
        """How many lines it takes: those of what its groups state, and one for each record."""
        return sum(len(_stated(group)) + len(group.records) for group in self.groups)


@styled
def forest(results: Results) -> Chart | None:
    """A panel per claim and unit; in it, a row per combination of levels that a hypothesis was asked for."""
    records = [record for record in results.claims if record["interval"]]
    if len(records) > MOST_ROWS:
        records = [record for record in records if record["primary"]][:MOST_ROWS]
    if not records:
        return None
    drawn = _panels(groups(records))
    heights = [panel.lines + 3.2 for panel in drawn]
    figure = Figure(figsize=(PAGE, LINE * sum(heights)))
    panels = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    claims = results.study.known_claims
    for ax, panel in zip(panels, drawn, strict=True):
        says = f"{panel.claim}: BN {claims[panel.claim].says}" if panel.claim in claims else panel.claim
        ax.set_title("\n".join(wrap(says or "Other hypotheses", 100)), x=0)
        _draw(ax, panel)
    caption = (
        "Estimates of the hypotheses with their 95% intervals. Look where an interval lies to the line at zero, to the "
        "broken line of a stated margin or level, or to the grey margin: wholly on the side that the hypothesis says "
        "(✓ supported), wholly on the other (✕ contradicted), within the margin (≈ equivalent), or across (? "
        "inconclusive). p values are adjusted over the study."
    )
    alt = f"Estimates with intervals of {len(records)} hypotheses and their verdicts; the board has the numbers."
    return Chart("hypotheses", "Hypotheses", caption, alt, figure)


def _panels(found: list[Group]) -> list[Panel]:
    """Groups by claim, in the order of the study, and within it by unit."""
    claims = list(dict.fromkeys(group.records[0].get("claim") for group in found))

    def key(group: Group) -> tuple[int, str, float, bool]:
        first = group.records[0]
        unit = scale_of(first)
        return claims.index(first.get("claim")), unit.shown, unit.scale, kind_of(first).signed

    panels = [list(some) for _, some in groupby(sorted(found, key=key), key)]
    return [
        Panel((first := some[0].records[0]).get("claim"), scale_of(first), kind_of(first).signed, some)
        for some in panels
    ]


def _stated(group: Group) -> list[str]:
    return wrap(group.statement, 100)


def _draw(ax: Axes, panel: Panel) -> None:
    """The rows from the top down: what a group states across the panel, and below it its intervals."""
    y, names = 0, {}
    for group in panel.groups:
        for line in _stated(group):
            ax.annotate(
                line, (0, y), xycoords=("axes fraction", "data"), va="center", fontsize=7, annotation_clip=False
            )
            y += 1
        _bounds(ax, group.records[0], panel.unit, y - 0.5, y + len(group.records) - 0.5)
        if panel.signed:
            ax.vlines(0, y - 0.5, y + len(group.records) - 0.5, color=MUTED, linewidth=0.9)
        for record, name in zip(group.records, group.names, strict=True):
            _row(ax, record, panel.unit, y)
            names[y] = name
            y += 1
    ax.set_yticks(list(names), list(names.values()))
    ax.set_ylim(y - 0.5, -0.5)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_position(("outward", 4))
    plain(ax, "x")
    ax.annotate(panel.unit.shown, (1, 0), (6, -9), xycoords="axes fraction", textcoords="offset points", va="center",
                color=INK, annotation_clip=False, fontsize=7)  # fmt: skip


def _bounds(ax: Axes, record: dict[str, Any], unit: Unit, top: float, bottom: float) -> None:
    """The margin of a hypothesis as a band behind its rows, or the one level that it states as a broken line."""
    low, high = (bound * unit.scale for bound in kind_of(record).bounds(record))
    if low < high:
        ax.fill_betweenx([top, bottom], low, high, color=GRID, linewidth=0)
    elif low:
        ax.vlines(low, top, bottom, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))


def _row(ax: Axes, record: dict[str, Any], unit: Unit, y: float) -> None:
    color, shown = VERDICT_COLORS[record["verdict"]], texts(record)
    low, high = (end * unit.scale for end in record["interval"])
    ax.hlines(y, low, high, color=color, linewidth=1.6)
    ax.plot(record["estimate"] * unit.scale, y, "s", color=color, markersize=4)
    said = f"{SIGNS_OF_VERDICTS[record['verdict']]} {shown.estimate} {interval_text(shown)}"
    ax.annotate(said, (1, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                color=color, annotation_clip=False, fontsize=6.5)  # fmt: skip
