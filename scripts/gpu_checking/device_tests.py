"""The project's own tests of its numbers, on the device. Needs the standard library only."""

from __future__ import annotations

import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from benching.workers import ROOT, environment

from gpu_checking.outline import SHARED_MEMORY
from gpu_checking.record import Record
from gpu_checking.supervise import Conditions, end, given_flags

FOLDERS = ("tests/nn", "tests/measure", "tests/engine")
PROCESSES = 6
_RESULT = re.compile(r"(PASSED|FAILED|ERROR|XFAIL|SKIPPED) (tests/\S+(?:\[.*\])?)")
_TAIL = 8000


class Beside:
    """pytest in the background while the `with` block lasts; ended, and put on record, with it or soon after."""

    def __init__(self, seconds: float, conditions: Conditions, record: Record) -> None:
        self._end = time.monotonic() + seconds
        self._begun = time.monotonic()
        self._conditions = conditions
        self._record = record
        self._output: Path = conditions.log.with_name("gpu_check_tests.log")
        folders = FOLDERS[1:2] if conditions.tiny else FOLDERS
        options = ["-v", "--tb=short", "-p", "no:cacheprovider", "-n", "2" if conditions.tiny else str(PROCESSES)]
        if find_spec("pytest_benchmark"):  # it warns where tests have several processes, and warnings are errors
            options += ["-p", "no:benchmark"]
        command = [str(conditions.python), "-m", "pytest", *options, *folders]
        device = {"cpu": "cpu", "tpu": "auto", "cuda": "auto"}[conditions.platform]
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env=environment() | given_flags() | SHARED_MEMORY | {"BN_ABLATE_TEST_DEVICE": device},
                process_group=0,
            )

    def __enter__(self) -> Beside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            status: int | None = self._process.wait(timeout=max(0.0, self._end - time.monotonic()))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(self._process)
        said = self._output.read_text(errors="replace")
        by_result: dict[str, list[str]] = {}
        for result, name in _RESULT.findall(said):
            if name not in by_result.setdefault(result, []):
                by_result[result].append(name)
        failed = by_result.get("FAILED", []) + by_result.get("ERROR", [])
        found: dict[str, Any] = {
            "status": status,
            "ended": "by itself" if status is not None else "when its time was over",
            "seconds": round(time.monotonic() - self._begun, 1),
            "passed": len(by_result.get("PASSED", [])),
            "failed": failed,
            "summary": said.strip().splitlines()[-1:],
            "tail": said[-_TAIL:],
        }
        self._record.put("tests", "pytest", found)
        self._conditions.say(f"tests: {found['passed']} passed, {len(failed)} failed")
