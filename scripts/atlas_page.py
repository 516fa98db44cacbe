"""Put what the atlas found into docs/atlas.md, between markers in its prose, and its picture into docs/figures.

    .venv/bin/python scripts/atlas_page.py results/c[1-8]_*_[0-9]*

Every number in the page comes from here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results_page import ROOT, between

from bn_ablate.analysis import atlas
from bn_ablate.analysis.figures import image, laid_out
from bn_ablate.analysis.figures.atlas import atlas_chart
from bn_ablate.analysis.judge.groups import groups
from bn_ablate.analysis.judge.places import same_lanes
from bn_ablate.analysis.judge.shown import interval_text, texts
from bn_ablate.plan import clock
from bn_ablate.results import open_results


def main(argv: list[str] | None = None) -> int:
    """Rewrite the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results of studies of the claims")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "atlas.md")
    arguments = parser.parse_args(argv)
    said = atlas(arguments.folders)
    chart = laid_out(atlas_chart(said))
    picture = arguments.page.parent / "figures" / "atlas.png"
    picture.write_bytes(image(chart, "png"))
    shown = f"![{chart.alt}]({picture.relative_to(arguments.page.parent).as_posix()})\n\n*{chart.caption}*"
    text = arguments.page.read_text(encoding="utf-8")
    blocks = {"differ": differences(said), "claims": claims(said), "picture": shown, "hypotheses": hypotheses(said)}
    for name, block in {**blocks, "runs": runs(arguments.folders, said)}.items():
        text = between(text, name, block)
    arguments.page.write_text(text, encoding="utf-8")
    return 0


def differences(said: dict[str, Any]) -> str:
    """The claims whose verdict is not the same everywhere; the hypotheses that hold here and are contradicted there."""
    verdicts: dict[str, dict[str, str]] = {}
    for place in said["places"]:
        for claim in place["claims"]:
            verdicts.setdefault(claim["claim"], {})[place["label"]] = claim["verdict"]
    lines = [
        f"- {name}: {'; '.join(f'{verdict} on {place}' for place, verdict in at.items())}"
        for name, at in sorted(verdicts.items())
        if len(set(at.values())) > 1
    ]
    return "\n\n".join(["\n".join(lines) or "No claim has another verdict at another place.", _contradictions(said)])


def _contradictions(said: dict[str, Any]) -> str:
    if not said["differ"]:
        return "No hypothesis holds at one place and is contradicted at another."
    statements = {(record["claim"], record["id"]): record["statement"] for record in said["hypotheses"]}
    places = [place["label"] for place in said["places"]]
    rows = [
        [one["claim"], statements[one["claim"], one["id"]], *(one["verdicts"].get(place, "–") for place in places)]
        for one in said["differ"]
    ]
    return table(["claim", "hypothesis", *places], rows)


def claims(said: dict[str, Any]) -> str:
    """A row per claim: its verdict at each place, over the primary hypotheses there."""
    by_place = [{claim["claim"]: claim for claim in place["claims"]} for place in said["places"]]
    says = {name: claim["says"] for found in by_place for name, claim in found.items()}
    rows = [[f"{name}: BN {says[name]}", *(_verdict(found.get(name)) for found in by_place)] for name in sorted(says)]
    return table(["claim", *(place["label"] for place in said["places"])], rows)


def hypotheses(said: dict[str, Any]) -> str:
    """A row per hypothesis: estimate, interval and verdict at each place."""
    places = [place["label"] for place in said["places"]]
    at = {(record["place"], record["claim"], record["id"]): record for record in said["hypotheses"]}
    parts = []
    for name in sorted({record["claim"] for record in said["hypotheses"]}):
        firsts = {record["id"]: record for record in said["hypotheses"] if record["claim"] == name}
        rows = []
        for group in groups(sorted(firsts.values(), key=lambda record: record["id"].split(".")[0])):
            for record, level in zip(group.records, group.names, strict=True):
                cells = [_estimate(at.get((place, name, record["id"]))) for place in places]
                rows.append([f"{group.statement}{f': {level}' if level else ''}", *cells])
        parts.append(table([name, *places], rows))
    return "\n\n".join(parts)


def runs(folders: Sequence[Path], said: dict[str, Any]) -> str:
    """How each study was run; and the lanes that two folders hold."""
    rows = []
    for folder in folders:
        results = open_results(folder)
        manifest = results.manifest
        if manifest["status"] != "complete":
            continue  # `bn-ablate atlas` names it
        spent = [clock(manifest["timing"][f"{part}_seconds"]) for part in ("compile", "train")]
        device = f"{manifest['device']['count']} × {manifest['device']['kind']}"
        lanes = manifest["lanes"]
        rows.append(
            [f"`bn-ablate run {results.name}`", f"{lanes['finished']:,}", str(lanes["diverged"]), *spent, device]
        )
    again = [f"{same_lanes(pair)}." for pair in said["again"]]
    return "\n\n".join([table(["command", "networks", "diverged", "compiling", "training", "device"], rows), *again])


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *rows])


def _verdict(claim: dict[str, Any] | None) -> str:
    if claim is None:
        return "–"
    counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
    return f"**{claim['verdict']}** ({counts})"


def _estimate(record: dict[str, Any] | None) -> str:
    if record is None:
        return "–"
    shown = texts(record)
    return f"{shown.estimate} {interval_text(shown)} {shown.unit}".strip() + f", {record['verdict']}"


if __name__ == "__main__":
    sys.exit(main())
