"""The process of a section, seen from the script: what it reports is kept at once. Needs the standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benching.workers import environment

from gpu_checking.outline import Part
from gpu_checking.record import Record

MARGIN_SECONDS = 3.0
"""Between the time by which a section should have ended by itself and its being ended."""


@dataclass(frozen=True)
class Conditions:
    """What is common to all sections.

    Attributes:
        platform: JAX's.
        tiny: small sizes.
        python, torch_python: interpreters.
        log: takes the standard error of all sections.
        say: what is shown while it runs.
        images: arrays of real images, where they were given.
        overrides: of the study of these images.
    """

    platform: str
    tiny: bool
    python: Path
    torch_python: Path
    log: Path
    say: Callable[[str], None]
    images: Path | None = None
    overrides: tuple[str, ...] = ()


def run_part(part: Part, seconds: float, conditions: Conditions, record: Record) -> None:
    """Run a section for at most so many seconds; whatever becomes of it is put on record."""
    begun = time.monotonic()
    options = {
        "seconds": seconds - MARGIN_SECONDS,
        "tiny": conditions.tiny,
        "platform": part.platform or conditions.platform,
        "torch_python": str(conditions.torch_python),
        "networks": part.networks,
        "output": str(conditions.log.parent),
        "images": str(conditions.images.absolute()) if conditions.images else "",
        "overrides": conditions.overrides,
    }
    command = [str(conditions.python), "-m", "gpu_checking.section", part.module, json.dumps(options)]
    with conditions.log.open("a") as log:
        log.write(f"\n=== {part.name}\n")
        log.flush()
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment() | part.environment | given_flags(),
            process_group=0,
        )
        watch = threading.Timer(seconds, end, [process])
        watch.start()
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said = json.loads(line)
                record.put(part.name, said["key"], said["value"])
            status = process.wait()
        finally:
            watch.cancel()
            end(process)
    spent = time.monotonic() - begun
    record.put(part.name, "seconds", round(spent, 1))
    if status:
        record.put(part.name, "ended", f"with status {status} after {spent:.0f} s of {seconds:.0f}; see the log")
    conditions.say(f"{part.name}: {spent:.0f} s{f', ended with status {status}' if status else ''}")


def given_flags() -> dict[str, str]:
    """The caller's XLA_FLAGS, which `environment` leaves out, since they are there to be tried here."""
    return {key: os.environ[key] for key in ("XLA_FLAGS",) if key in os.environ}


def end(process: subprocess.Popen[str]) -> None:
    """End a process and those it started, which are of its own process group."""
    try:
        os.killpg(process.pid, 9)
    except (ProcessLookupError, PermissionError):
        return
