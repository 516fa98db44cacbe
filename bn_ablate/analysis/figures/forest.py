"""Every hypothesis of the study at a glance: estimate, interval, margin and verdict."""

from __future__ import annotations

from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bn_ablate.analysis.figures.style import GRID, MUTED, PAGE, VERDICT_COLORS, Chart, styled
from bn_ablate.analysis.judge.groups import Group, groups
from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.shown import interval_text, scale_of, texts
from bn_ablate.config.quantity import MINUS
from bn_ablate.results import Results

ICONS = {"supported": "✓", "contradicted": "✕", "equivalent": "≈", "inconclusive": "?"}
MOST_ROWS = 60
"""More hypotheses than these do not fit one figure; the primary ones are drawn, then."""


@styled
def forest(results: Results) -> Chart | None:
    """A panel per hypothesis as it was written, a row per combination of levels that it was asked for."""
    records = [record for record in results.claims if record["interval"]]
    if len(records) > MOST_ROWS:
        records = [record for record in records if record["primary"]][:MOST_ROWS]
    if not records:
        return None
    drawn = groups(records)
    heights = [len(group.records) + 1.9 for group in drawn]
    figure = Figure(figsize=(PAGE, 0.19 * sum(heights) + 0.1))
    panels = figure.subplots(len(drawn), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, group in zip(panels, drawn, strict=True):
        _panel(ax, group)
    caption = (
        "Estimate of every hypothesis with its 95% interval, each group on a scale of its own; a full line is zero, a "
        "grey band or a dashed line the stated margin or level. Verdicts as in the table, p adjusted over the study."
    )
    alt = f"Estimates with intervals of {len(records)} hypotheses and their verdicts; the board has the numbers."
    return Chart("hypotheses", "Hypotheses", caption, alt, figure)


def _panel(ax: Axes, group: Group) -> None:
    rows = group.records
    scale = scale_of(rows[0])
    kind = kind_of(rows[0])
    low, high = (bound * scale.scale for bound in kind.bounds(rows[0]))
    if low < high:
        ax.axvspan(low, high, color=GRID, linewidth=0)
    elif low:
        ax.axvline(low, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)))
    if kind.signed:
        ax.axvline(0, color=MUTED, linewidth=0.9)
    for y, record in enumerate(rows):
        color, shown = VERDICT_COLORS[record["verdict"]], texts(record)
        low, high = (end * scale.scale for end in record["interval"])
        ax.hlines(y, low, high, color=color, linewidth=1.6)
        ax.plot(record["estimate"] * scale.scale, y, "o", color=color, markersize=4)
        said = f"{ICONS[record['verdict']]} {shown.estimate} {interval_text(shown)}"
        ax.annotate(said, (1, y), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
                    color=color, annotation_clip=False, fontsize=6.5)  # fmt: skip
    ax.set_yticks(range(len(rows)), group.names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:g}".replace("-", MINUS))
    ax.locator_params(axis="x", nbins=5)
    unit = f" ({scale.shown})" if scale.shown else ""
    ax.set_title("\n".join(wrap(group.statement + unit, 76)), fontsize=7)
