"""Put the outcome of studies into a page: their tables and figures, between markers in its prose.

    make claims
    .venv/bin/python scripts/results_page.py results/c[1-8]_*
    make why
    .venv/bin/python scripts/results_page.py results/w[1-8]_* --page docs/why.md
    .venv/bin/python scripts/results_page.py results/w1_* --page docs/why.md --keep-board   # one study alone

Every number in the page comes from here. A study's block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`,
the board of all claims between those of `board`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from bn_ablate.analysis import combine_claims
from bn_ablate.analysis.figures import image
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.judge.groups import groups
from bn_ablate.analysis.judge.shown import texts
from bn_ablate.cli.console import count
from bn_ablate.config.claims import CLAIMS
from bn_ablate.plan import clock
from bn_ablate.results import Results, open_results

ROOT = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Rewrite the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results of the studies of the claims")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "results.md")
    parser.add_argument("--keep-board", action="store_true", help="leave the board, which takes the results of all")
    arguments = parser.parse_args(argv)
    studies = [open_results(folder) for folder in arguments.folders]
    blocks = {} if arguments.keep_board else {"board": board(combine_claims(arguments.folders), studies)}
    for results in studies:
        blocks[results.name] = "\n\n".join([picture(results, arguments.page.parent), study_block(results)])
    text = arguments.page.read_text(encoding="utf-8")
    for name, block in blocks.items():
        text = between(text, name, block)
    arguments.page.write_text(text, encoding="utf-8")
    return 0


def between(text: str, name: str, block: str) -> str:
    """`text` with `block` between the markers of `name`.

    Raises:
        ValueError: the markers are not there.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no lines {begin} and {end} to write between")
    return f"{before}{begin}\n\n{block}\n\n{end}{after}"


def board(said: dict[str, Any], studies: list[Results]) -> str:
    """A row per claim: its verdict over its primary hypotheses, adjusted together with those of all other claims."""
    rows = [
        f"| [{c['claim']}](#{c['claim'].lower()}) | BN {c['says']} | **{c['verdict']}** | {_counts(c)} |"
        for c in said["claims"]
    ]
    head = ["| claim | | verdict | primary hypotheses |", "|---|---|---|---|"]
    networks = sum(study.manifest["lanes"]["finished"] for study in studies)
    compiling, training = (
        clock(sum(study.manifest["timing"][f"{part}_seconds"] for study in studies)) for part in ("compile", "train")
    )
    note = (
        f"{said['family']} primary hypotheses, adjusted by Holm as one family; {networks:,} networks, "
        f"{compiling} of compiling and {training} of training."
    )
    return "\n".join([*head, *rows, "", note])


def picture(results: Results, docs: Path) -> str:
    """The figure of the study's claim, or else of its hypotheses, drawn into `docs`, with its caption.

    Raises:
        ValueError: it lacks what either shows.
    """
    chart = claim_figure(results) or forest(results)
    if chart is None:
        raise ValueError(f"{results.path}: has no figure of its claim, and no hypotheses")
    file = docs / "figures" / f"{results.name}.png"
    chart.figure.draw_without_rendering()
    file.write_bytes(image(chart, "png"))
    return f"![{chart.alt}]({file.relative_to(docs).as_posix()})\n\n*{chart.caption}*"


def study_block(results: Results) -> str:
    """The primary hypotheses, the others folded away, and how it was run."""
    study, manifest = results.study, results.manifest
    primary = [record for record in results.claims if record["primary"]]
    others = [record for record in results.claims if not record["primary"]]
    command = f"make {study.claim.lower()}" if study.claim in CLAIMS else "make why"
    timing = manifest["timing"]
    ran = (
        f"`{command}`: {manifest['lanes']['finished']:,} networks ({manifest['lanes']['diverged']} diverged), "
        f"{count(manifest['programs'], 'program')}; trained in {clock(timing['train_seconds'])} after "
        f"{timing['compile_seconds']:.0f} s of compiling on {manifest['device']['count']} devices of kind "
        f"`{manifest['device']['kind']}`."
    )
    parts = [table(primary)]
    if others:
        parts += [f"<details><summary>{len(others)} further hypotheses</summary>", table(others), "</details>"]
    return "\n\n".join([*parts, ran])


def table(records: list[dict[str, Any]]) -> str:
    """A row per hypothesis; those that `each` made of one stand under what they state in common."""
    rows = ["| hypothesis | estimate | 95% interval | adjusted p | verdict |", "|---|--:|---|--:|---|"]
    for group in groups(records):
        alone = len(group.records) == 1
        if not alone:
            rows.append(f"| **{group.statement}** | | | | |")
        for record, name in zip(group.records, group.names, strict=True):
            shown = texts(record)
            p = "–" if record["p_adjusted"] is None else f"{record['p_adjusted']:.4f}"
            estimate = f"{shown.estimate} {shown.unit}".strip()
            said = record["statement"] if alone else f"– {name}"
            rows.append(f"| {said} | {estimate} | {shown.low} … {shown.high} | {p} | {record['verdict']} |")
    return "\n".join(rows)


def _counts(claim: dict[str, Any]) -> str:
    return ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())


if __name__ == "__main__":
    sys.exit(main())
