"""The claims' hypotheses at every place where they were put to the test: estimate, interval and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn_ablate.analysis.figures.style import GRID, MUTED, VERDICT_COLORS, Chart, styled
from bn_ablate.analysis.judge.groups import groups
from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS, interval_text, scale_of, texts

NAMES, PLACE = 2.6, 2.0
"""Widths in inches of the names of hypotheses, and of a column."""
ROW = 0.17
"""Height of a row in inches."""


@styled
def atlas_chart(said: dict[str, Any]) -> Chart:
    """What `judge.places.atlas` found: a column per place, a row per hypothesis, under what it states and its claim."""
    places = [place["label"] for place in said["places"]]
    at = {(record["place"], record["claim"], record["id"]): record for record in said["hypotheses"]}
    firsts = {(record["claim"], record["id"]): record for record in said["hypotheses"]}
    ordered = sorted(firsts.values(), key=lambda record: record["claim"])
    drawn = [
        (claim, group)
        for claim, records in groupby(ordered, key=lambda record: record["claim"])
        for group in groups(sorted(records, key=lambda record: record["id"].split(".")[0]))
    ]
    heights = [len(group.records) + 1.6 for _, group in drawn]
    figure = Figure(figsize=(NAMES + PLACE * len(places), ROW * sum(heights) + 0.4))
    grid = figure.subplots(len(drawn), len(places), squeeze=False, sharey="row", height_ratios=heights)
    for across, (claim, group) in zip(grid, drawn, strict=True):
        of_places = [[at.get((place, claim, record["id"])) for record in group.records] for place in places]
        for ax, records in zip(across, of_places, strict=True):
            _panel(ax, records, _reach([found for column in of_places for found in column if found]))
        unit = scale_of(group.records[0]).shown
        title = f"{claim}  {group.statement}{f' ({unit})' if unit else ''}"
        across[0].set_title("\n".join(wrap(title, 44 + 30 * (len(places) - 1))), fontsize=7)
        across[0].set_yticks(range(len(group.records)), [name or "all" for name in group.names])
        across[0].set_ylim(len(group.records) - 0.5, -0.5)
    for ax, place in zip(grid[0], said["places"], strict=True):
        head = f"{place['data']}, {place['n_train']} examples\n{place['label'].split(' examples, ')[1]}"
        ax.annotate(head, (0.5, 1), (0, 24), xycoords="axes fraction", textcoords="offset points", ha="center",
                    va="bottom", fontsize=7.5, annotation_clip=False)  # fmt: skip
    caption = (
        "Every primary hypothesis of the claims at every place: estimate with its 95% interval, the rows of a group on "
        "one scale at all places; a full line is zero, a grey band or a dashed line the stated margin or level. "
        + " ".join(f"{icon} {verdict}." for verdict, icon in SIGNS_OF_VERDICTS.items())
        + " p adjusted over the hypotheses of a place."
    )
    alt = f"Estimates of {len(firsts)} hypotheses at {len(places)} places, with verdicts; the table has the numbers."
    return Chart("atlas", "Where the claims hold", caption, alt, figure)


def _reach(records: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """The ends of the scale for all intervals of `records`, their bounds, and zero where estimates are differences."""
    ends: list[float] = []
    for record in records:
        scale, kind = scale_of(record).scale, kind_of(record)
        low, high = kind.bounds(record)
        ends += [scale * end for end in (*(record["interval"] or ()), low, high)] + ([0.0] if kind.signed else [])
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.05 * (high - low) or 1.0
    return low - pad, high + pad


def _panel(ax: Axes, records: Sequence[dict[str, Any] | None], reach: tuple[float, float]) -> None:
    there = [record for record in records if record]
    ax.set_xlim(reach)
    ax.set_xticks([])
    ax.tick_params(left=False)
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    if there:
        scale, kind = scale_of(there[0]).scale, kind_of(there[0])
        low, high = (bound * scale for bound in kind.bounds(there[0]))
        if low < high:
            ax.axvspan(low, high, color=GRID, linewidth=0)
        elif low:
            ax.axvline(low, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)))
        if kind.signed:
            ax.axvline(0, color=MUTED, linewidth=0.7)
    for y, record in enumerate(records):
        if record is None:
            continue
        color, scale, shown = VERDICT_COLORS[record["verdict"]], scale_of(record).scale, texts(record)
        if record["interval"]:
            ax.hlines(y, *(end * scale for end in record["interval"]), color=color, linewidth=1.4)
        if record["estimate"] is not None:
            ax.plot(record["estimate"] * scale, y, "o", color=color, markersize=3)
        text = f"{SIGNS_OF_VERDICTS[record['verdict']]} {shown.estimate} {interval_text(shown)}"
        ax.annotate(text, (1, y), (3, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                    color=color, annotation_clip=False, fontsize=5.5)  # fmt: skip
