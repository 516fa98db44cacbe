"""Runs the tests on each Python that is here, with the oldest releases that pyproject.toml allows and with the newest.

    make test-matrix                                    the fast tests
    make test-matrix ARGS="--python 3.13 --lock cpu"    in one environment
    make test-matrix ARGS="tests/engine -n 1"           some of them; what is not known here goes to pytest

The Pythons are those that the classifiers in pyproject.toml name, looked for on PATH and among those of pyenv and uv.
Each gets two environments below .venv-matrix/, of requirements/oldest.txt and requirements/cpu.txt, of about 1 GB; they
stay, and `make clean` removes them. Ends with a table, and with 1 where a test failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from setup import ROOT, Environment, SetupError, find_python, tried_pythons

LOCKS = ("oldest", "cpu")
SHOWN = ("jax", "flax", "numpy")
VERSIONS = f"from importlib.metadata import version; print(*map(version, {SHOWN}))"


def tested(environment: Environment, arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether the tests pass in an environment, and its row of the table.

    Raises:
        SetupError: the environment cannot be made.
    """
    environment.make()
    versions = subprocess.check_output([environment.executable, "-c", VERSIONS], text=True).split()
    print(f"\nPython {environment.python.version}, requirements/{environment.lock}.txt", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ("-n", "auto", "--maxprocesses", "4", f"--junitxml={report}", *arguments)
        command = (str(environment.executable), "-m", "pytest", "-q", "-p", "no:cacheprovider", *options)
        passed = subprocess.run(command, check=False, cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0
        outcome = outcome_of(report) if report.exists() else "none ran"
    row = [environment.python.version, environment.lock, *versions, outcome, f"{time.monotonic() - start:.0f} s"]
    return passed, row


def outcome_of(report: Path) -> str:
    """How many tests ended how, from pytest's XML."""
    suites = list(ET.parse(report).getroot().iter("testsuite"))
    tests, failures, errors, skipped = (
        sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    parts = ((tests - failed - skipped, "passed"), (failed, "failed"), (skipped, "skipped"))
    return ", ".join(f"{number} {word}" for number, word in parts if number or word == "passed")


def table(rows: list[list[str]]) -> str:
    """The rows as a table in Markdown."""
    head = ["Python", "lock", *SHOWN, "tests", "time"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(argv: list[str] | None = None) -> int:
    """Run the tests everywhere; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--python", choices=tried_pythons(), action="append", help="all that are here when left out")
    parser.add_argument("--lock", choices=LOCKS, action="append", help="both when left out")
    chosen, arguments = parser.parse_known_args(argv)
    rows, failed = [], False
    for minor in chosen.python or reversed(tried_pythons()):
        python = find_python(minor)
        if python is None:
            rows.append([minor, *["–"] * (1 + len(SHOWN)), "no such Python here", "–"])
            continue
        for lock in chosen.lock or LOCKS:
            try:
                passed, row = tested(Environment(ROOT / ".venv-matrix" / f"{minor}-{lock}", lock, python), arguments)
            except SetupError as error:
                print(f"make test-matrix: {error}", file=sys.stderr)
                passed, row = False, [python.version, lock, *["–"] * len(SHOWN), "not set up", "–"]
            rows.append(row)
            failed |= not passed
    print(f"\n{table(rows)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
