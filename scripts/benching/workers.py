"""Processes with one peer each, seen from the script that asks them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from benching.cases import Case
from benching.roster import Entry

SCRIPTS = Path(__file__).resolve().parent.parent
ROOT = SCRIPTS.parent
PATIENCE_SECONDS = 1200.0
FOREIGN = ("XLA_", "JAX_", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "TORCH")
"""Settings of the caller's shell that would have some peers run otherwise than by default."""


class WorkerError(RuntimeError):
    """A peer failed; the message is its own."""


def environment() -> dict[str, str]:
    """That of the workers: the caller's, with the modules in reach, and without settings that favour or hinder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return kept | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(ROOT), *given])}


def write_examples(case: Case, path: Path) -> None:
    """Have the examples of `case` written, by a process of its own that takes its memory with it when it ends."""
    command = [sys.executable, "-m", "benching.examples", json.dumps(case.to_json()), str(path)]
    subprocess.run(command, env=environment(), check=True)


class Worker:
    """One peer in a process of its own; ends with its `with` block."""

    def __init__(self, entry: Entry, python: Path) -> None:
        self.entry = entry
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            [python, "-m", "benching.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            text=True,
        )

    def make(self, case: Case, examples: Path, **options: Any) -> None:
        """Make the peer for `case`; the one before it, if there is one, is dropped."""
        options = {**self.entry.options, **options}
        self.ask("make", module=self.entry.module, case=case.to_json(), examples=str(examples), options=options)

    def ask(self, do: str, **more: Any) -> Any:
        """What the peer answers.

        Raises:
            WorkerError: it failed, ended, or took longer than anyone would wait.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
            self._process.stdin.flush()
            ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_SECONDS)
            line = self._process.stdout.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.entry.name} {self._end()} at {do!r}; {self._last_words()}")
        said = json.loads(line)
        if "error" in said:
            raise WorkerError(said["error"])
        return said["answer"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()  # ends its loop
            self._process.wait(timeout=20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _end(self) -> str:
        """How the process ended; one that still runs has hung, and is ended here."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return f"gave no answer in {PATIENCE_SECONDS:.0f} s"
        return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"

    def _last_words(self) -> str:
        self._errors.seek(0)
        return " / ".join(self._errors.read().strip().splitlines()[-3:]) or "it said nothing"
