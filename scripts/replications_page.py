"""Put what came of the replications into docs/replications.md, between markers in its prose.

    .venv/bin/python scripts/replications_page.py results/p[1-9]_*

Every number in the page comes from here. A study's block stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from results_page import ROOT, between

from bn_ablate.analysis import replicate
from bn_ablate.analysis.judge.replication import counts
from bn_ablate.analysis.pages.replications import markdown
from bn_ablate.cli.console import count
from bn_ablate.config import load_extension
from bn_ablate.plan import clock
from bn_ablate.results import Results, open_results


def main(argv: list[str] | None = None) -> int:
    """Rewrite the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results of the replications")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "replications.md")
    parser.add_argument("--extension", type=Path, action="append", default=[], metavar="FILE")
    arguments = parser.parse_args(argv)
    for file in arguments.extension:
        load_extension(file)
    text = arguments.page.read_text(encoding="utf-8")
    for folder in arguments.folders:
        results = open_results(folder)
        text = between(text, results.name, block(results))
    arguments.page.write_text(text, encoding="utf-8")
    return 0


def block(results: Results) -> str:
    """The verdicts counted, how the study was run, the table, and the differences of protocol."""
    said, manifest = replicate(results), results.manifest
    verdicts = ", ".join(f"{times} {verdict}" for verdict, times in counts(said).items())
    timing, device = manifest["timing"], manifest["device"]
    ran = (
        f"`bn-ablate run {results.name}`: {count(manifest['lanes']['finished'], 'network')} "
        f"({manifest['lanes']['diverged']} diverged), {count(manifest['programs'], 'program')}; trained in "
        f"{clock(timing['train_seconds'])} after {timing['compile_seconds']:.0f} s of compiling on "
        f"{count(device['count'], 'device')} of kind `{device['kind']}`."
    )
    return markdown(said, f"**{verdicts}**, of {count(len(said['rows']), 'row')}. {ran}").rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
