"""Hold bn_ablate against other ways to train the same networks, in one run on this machine.

    make bench                                    # everything; under half an hour on two cores
    python scripts/bench.py --quick               # under two minutes, to see that all of it works
    python scripts/bench.py --write-docs FILE     # put the figures of a run into docs/benchmarks.md

The figures go to `results/bench/`. docs/benchmarks.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from benching import machine, render, scaling, starting, torch_env
from benching.cases import CASES, shortened
from benching.compare import Conditions, compare
from benching.figures import Stored
from benching.roster import FEW, PEERS, entrants
from benching.workers import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"


def main(argv: list[str] | None = None) -> int:
    """Measure, or write the page; returns the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.write_docs:
        render.write_page(render.load(arguments.write_docs), arguments.page)
        print(f"{arguments.page}: figures of {arguments.write_docs}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        stored, path = _measure(arguments, Path(folder))
    print(render.render(stored))
    print(f"figures: {path}", file=sys.stderr)
    return 0


def _measure(arguments: argparse.Namespace, folder: Path) -> tuple[Stored, Path]:
    """Measure; what was measured is stored part by part, so that a run cut short leaves what it has."""
    begun = time.perf_counter()

    def say(line: str) -> None:
        print(f"{time.perf_counter() - begun:6.0f} s  {line}", file=sys.stderr, flush=True)

    quick = arguments.quick
    peers = arguments.peers or (FEW if quick else tuple(PEERS))
    wants_torch = any(PEERS[name].torch for name in peers) and arguments.device == "cpu"
    conditions = Conditions(
        rounds=arguments.rounds or (2 if quick else 3),
        round_seconds=0.5 if quick else 2.0,
        platform=arguments.device,
        jax_python=Path(sys.executable),
        torch_python=torch_env.torch_python(say, arguments.torch) if wants_torch else None,
        folder=folder,
    )
    settings = {"quick": quick, "rounds": conditions.rounds, "device": conditions.platform}
    stored: Stored = {
        "machine": machine.describe(conditions.jax_python, conditions.torch_python),
        "settings": settings,
        "cases": [],
        "diagnostics": {},
        "scaling": [],
        "starting": [],
    }
    path = arguments.output / f"{stored['machine']['created'].replace(':', '').replace('+0000', 'Z')}.json"

    def save() -> None:
        settings["seconds"] = time.perf_counter() - begun
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(stored, indent=1) + "\n")

    for name in arguments.cases or (["mlp-72"] if quick else list(CASES)):
        case = shortened(CASES[name]) if quick else CASES[name]
        stored["cases"].append(compare(case, entrants(peers, case), conditions, say))
        save()
    if not arguments.cases_only:
        for name in ("smoke",) if quick else starting.STARTS:
            say(f"starting: {starting.STARTS[name].title}")
            stored["starting"].append(starting.measure(name))
        save()
        stored["diagnostics"] = {} if quick else scaling.diagnostics(conditions, say)
        save()
        for point in scaling.curves(conditions, say, quick):
            stored["scaling"].append(point)
            save()
    return stored, path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Hold bn_ablate against other ways to train the same networks.")
    parser.add_argument(
        "--quick", action="store_true", help="few lanes, steps and rounds; the figures are not to be quoted"
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, help="default: all; with --quick mlp-72")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="default: all; ours always runs")
    parser.add_argument(
        "--cases-only", action="store_true", help="leave out starting, the cost of measurements, and scaling"
    )
    parser.add_argument("--rounds", type=int, help="rounds of all peers by turns; default 3")
    parser.add_argument(
        "--device", choices=("cpu", "cuda", "tpu"), default="cpu", help="for JAX; PyTorch runs on CPU only"
    )
    parser.add_argument(
        "--torch", type=Path, metavar="PYTHON", help="an interpreter with PyTorch; default: .venv-bench's"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "bench", help="folder for the figures")
    parser.add_argument(
        "--write-docs", type=Path, metavar="FILE", help="measure nothing; write these figures into the page"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
