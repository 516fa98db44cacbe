"""One page over several studies: the verdict of every claim on top, then each study."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bn_ablate.analysis.figures import image
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.judge.groups import Group, groups
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS, interval_text, scale_of, texts
from bn_ablate.analysis.judge.verdicts import floor_notes
from bn_ablate.analysis.pages.report import coded, inline, render
from bn_ablate.analysis.pages.study_text import run_command
from bn_ablate.analysis.pages.verdict_cards import shown_verdict
from bn_ablate.config.given import place
from bn_ablate.results import Results, open_results, refuse_inside
from bn_ablate.results.files import write_text

ICONS = SIGNS_OF_VERDICTS | {"mixed": "±"}


def write_board(folders: Iterable[Path], said: dict[str, Any], file: Path) -> None:
    """Write the page of the claims that `combine_claims` found in `folders` to `file`: self-contained, for a browser.

    It holds the claims with their verdicts, and of each study its question, its figure, its primary hypotheses with
    estimates and intervals, and how to run it again.

    Raises:
        ResultsError: a folder holds no results, or `file` lies within one that does.
    """
    file = place(file)
    refuse_inside(file)
    studies = [_study(open_results(folder), said, file.parent) for folder in folders]
    claims = [claim | {"icon": ICONS[claim["verdict"]]} for claim in said["claims"]]
    for claim in claims:
        records = [record for record in said["hypotheses"] if record["claim"] == claim["claim"]]
        claim["groups"] = [_group(group) for group in groups(records)]
        claim["studies"] = sorted({hypothesis["study"] for hypothesis in claim["hypotheses"]})
    floors = floor_notes(said["hypotheses"])
    write_text(
        file,
        render(
            "board.html.j2",
            claims=claims,
            studies=studies,
            family=said["family"],
            floors=floors,
            caveats=said["caveats"],
        ),
    )


def _group(group: Group) -> dict[str, Any]:
    """What hypotheses state in common, with a row for each: verdict, estimate and interval."""
    rows = []
    for record, name in zip(group.records, group.names, strict=True):
        shown = texts(record)
        text = f"{shown.estimate} {interval_text(shown)}"
        rows.append(
            {"verdict": record["verdict"], "icon": SIGNS_OF_VERDICTS[record["verdict"]], "name": name, "text": text}
        )
    return {"statement": group.statement, "unit": scale_of(group.records[0]).shown, "rows": rows}


def _study(results: Results, said: dict[str, Any], beside: Path) -> dict[str, Any]:
    chart = claim_figure(results)
    svg = None
    if chart is not None:
        svg = inline(image(chart, "svg").decode(), chart._replace(name=f"{results.name}-{chart.name}"))
    report = results.path / "report.html"
    return {
        "name": results.name,
        "claim": results.study.claim,
        "title": results.study.title or results.name,
        "description": results.study.description.strip(),
        "chart": chart,
        "svg": svg,
        "groups": [
            {
                "statement": group.statement,
                "rows": [
                    shown_verdict(record) | {"name": name}
                    for record, name in zip(group.records, group.names, strict=True)
                ],
            }
            for group in groups([record for record in said["hypotheses"] if record["study"] == results.name])
        ],
        "report": Path(os.path.relpath(report, beside)).as_posix() if report.is_file() else None,
        "again": run_command(results.study),
        "looks": coded(svg or ""),
        "design": f"{results.networks.height:,} networks, {results.seeds_per_cell} seeds, "
        f"{results.manifest.get('data', {}).get('name', results.study.data.name)}",
    }
