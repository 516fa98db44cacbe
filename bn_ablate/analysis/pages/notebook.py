"""Results as a notebook shows them."""

from __future__ import annotations

from typing import Any

from bn_ablate.analysis.figures.style import VERDICT_COLORS
from bn_ablate.analysis.judge.groups import groups
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS, interval_text, p_text, scale_of, texts
from bn_ablate.analysis.pages.report import render
from bn_ablate.results import Results, ResultsError


def results_html(results: Results) -> str:
    """The study, its lanes and its verdicts as a piece of HTML; what keeps it from being judged, if something does."""
    rows: list[dict[str, Any]] = []
    caveats = list(results.caveats)
    try:
        rows = _rows(results.claims)
    except ResultsError as error:
        caveats.append(str(error))
    return render("notebook.html.j2", results=results, rows=rows, caveats=caveats, colors=VERDICT_COLORS)


def _rows(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per hypothesis: what it states, where, the estimate and interval with their unit, p, and the verdict."""
    rows = []
    for group in groups(claims):
        unit = scale_of(group.records[0]).shown
        for record, name in zip(group.records, group.names, strict=True):
            shown = texts(record)
            rows.append(
                {
                    "statement": group.statement if record is group.records[0] else "",
                    "where": name,
                    "estimate": f"{shown.estimate} {unit}".strip(),
                    "interval": interval_text(shown),
                    "p": p_text(record["p_adjusted"]),
                    "verdict": record["verdict"],
                    "icon": SIGNS_OF_VERDICTS[record["verdict"]],
                    "reason": record["reason"],
                }
            )
    return rows
