"""Check and measure this project on a GPU, in calls: `--sections first` (the default), `second`, `third`, `images`.

The interpreter must have JAX for that GPU, and what the project needs: `PYTHON=/path/to/python scripts/gpu_check.sh`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from benching import machine
from benching.workers import ROOT
from gpu_checking import device_tests, table
from gpu_checking.outline import CALLS, SECTIONS, TESTS, Part
from gpu_checking.record import Record
from gpu_checking.supervise import Conditions, given_flags, run_part

GRACE_SECONDS = 10.0
"""Kept back for the table, and for the tests that run beside a section to end."""

TINY_PATIENCE = 10.0
"""How much longer a section may take on a CPU, which may be busy: it is to be seen whether it works."""


def main(argv: list[str] | None = None) -> int:
    """Run the sections that were asked for, as far as time goes, and print the table."""
    arguments = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the section too
    begun = time.monotonic()
    end = begun + 60.0 * arguments.minutes
    arguments.output.mkdir(parents=True, exist_ok=True)
    record = Record(arguments.output / "gpu_check.json")
    python = Path(sys.executable)
    torch_python = arguments.torch or python

    def say(line: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {line}", file=sys.stderr, flush=True)

    record.put("run", "arguments", sys.argv[1:] if argv is None else argv)
    record.put("run", "environment", given_flags())
    try:
        record.put("run", "machine", machine.describe(python, None))
    except Exception as error:  # what it is about, the card and JAX, is in the section `limits`
        record.put("run", "machine", {"error": repr(error)})
    conditions = Conditions(
        arguments.platform,
        arguments.tiny,
        python,
        torch_python,
        arguments.output / "gpu_check.log",
        say,
        arguments.images,
        tuple(arguments.set),
    )
    for part in (part for part in SECTIONS if part.name in arguments.sections):
        most = part.most_seconds * (TINY_PATIENCE if arguments.tiny else 1.0)
        seconds = min(most, end - GRACE_SECONDS - time.monotonic())
        if seconds < part.least_seconds:
            say(f"{part.name}: skipped")
            record.put(part.name, "skipped", f"{max(seconds, 0):.0f} s were left, {part.least_seconds:.0f} are needed")
            continue
        say(f"{part.name}: at most {seconds:.0f} s")
        _run(part, seconds, conditions, record, with_tests=TESTS in arguments.sections)
    lines = table.lines_of(record.held)
    (arguments.output / "gpu_check.txt").write_text("\n".join(lines) + "\n")
    say(f"everything is in {record.path}")
    print("\n".join(lines))
    return 0


def _run(part: Part, seconds: float, conditions: Conditions, record: Record, with_tests: bool) -> None:
    """One section; the project's own tests run beside the one that times nothing."""
    if not (with_tests and part.beside_tests):
        run_part(part, seconds, conditions, record)
        return
    with device_tests.Beside(seconds, conditions, record):
        run_part(part, seconds, conditions, record)


def _names(text: str) -> tuple[str, ...]:
    known = [name for names in CALLS.values() for name in names]
    names = tuple(name for word in text.split(",") for name in CALLS.get(word, (word,)))
    if unknown := set(names).difference(known):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: no such section; there are {', '.join(known)}")
    return names


def _platform(text: str) -> str:
    return {"gpu": "cuda"}.get(text, text)


def _parser() -> argparse.ArgumentParser:
    calls = "; ".join(f"{call} stands for {','.join(names)}" for call, names in CALLS.items())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", type=_names, default=CALLS["first"], help=f"names with commas; {calls}")
    parser.add_argument("--minutes", type=float, default=7.5, help="for all of it (default: 7.5)")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "gpu", help="folder for what is measured")
    platforms = ("cuda", "tpu", "cpu")
    parser.add_argument(
        "--platform", type=_platform, default="cuda", choices=platforms, help="JAX's; gpu is cuda (default: cuda)"
    )
    parser.add_argument("--torch", type=Path, help="a Python that has PyTorch (default: this one)")
    parser.add_argument("--images", type=Path, help=".npz for real-images: x_train, y_train, x_test, y_test")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of that study")
    parser.add_argument("--tiny", action="store_true", help="small sizes: to see that all of it works, not to quote")
    return parser


if __name__ == "__main__":
    sys.exit(main())
