"""A study's run in W&B while it trains: what the training loop tells is passed on by a process of its own.

Whatever W&B does, training neither waits nor fails: the loop puts a point into a bounded queue, or drops it where the
queue is full; a thread writes the queue into the pipe of a process that alone talks to W&B, and that is killed where it
does not end in time. That process is `main` here.
"""

from __future__ import annotations

import dataclasses
import json
import math
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bn_ablate.config.given import place
from bn_ablate.plan import Plan, RunProgress
from bn_ablate.sinks import run_names
from bn_ablate.sinks.content import RunContent, finite, running_content
from bn_ablate.sinks.session import open_session
from bn_ablate.sinks.setup import quiet_wandb, require_key
from bn_ablate.sinks.sink_error import SinkError

LIVE = "live/"
"""What the keys of live points begin with."""

QUEUED = 100
"""Points that wait for W&B at most; those that come when it is full are dropped."""

INTERVAL = 1.0
POINTS_PER_RUN = 500
"""Points come at least that many seconds, and that share of the time so far, apart: a day gives some 3000."""

CLOSE_TIMEOUT = 15.0
"""Seconds that W&B may take for the last points when training has ended."""

COMMAND = [sys.executable, "-c", "import sys; from bn_ablate.sinks.live import main; sys.exit(main())"]


class Live:
    """Streams a study's progress to its run; a context manager that ends the stream, whatever happens inside.

    Attributes:
        message: after the end, what went wrong, or nothing.
    """

    def __init__(
        self, plan: Plan, results: str | Path, *, project: str | None = None, entity: str | None = None
    ) -> None:
        self.message = ""
        self._points: queue.Queue[dict[str, Any] | None] = queue.Queue(QUEUED)
        self._last: tuple[float, int] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        # a session of its own: Ctrl-C is for training, which then says here that it ends
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._errors, start_new_session=True
        )
        header = {"content": dataclasses.asdict(running_content(plan)), "results": str(place(results).resolve())}
        self._points.put(header | {"project": project, "entity": entity})
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def __call__(self, progress: RunProgress) -> None:
        """Take note of where the run stands; returns at once."""
        seconds, steps = self._last or (-math.inf, 0)
        if progress.seconds - seconds < max(INTERVAL, progress.seconds / POINTS_PER_RUN):
            return
        rate = (progress.lane_steps - steps) / (progress.seconds - seconds) if self._last else None
        self._last = (progress.seconds, progress.lane_steps)
        try:
            self._points.put_nowait(live_point(progress, rate))
        except queue.Full:
            return

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._points.put({"failed": kind is not None}, timeout=CLOSE_TIMEOUT)
            self._points.put(None, timeout=CLOSE_TIMEOUT)
            code = self._process.wait(CLOSE_TIMEOUT)
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip()
            self.message = said.splitlines()[-1] if code and said else ""
        except (queue.Full, subprocess.TimeoutExpired):
            self.message = f"W&B took none of the last points within {CLOSE_TIMEOUT:.0f} s"
        finally:
            self._process.kill()
            self._process.wait()
            self._errors.close()

    def _write(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                while (point := self._points.get()) is not None:
                    pipe.write(json.dumps(point).encode() + b"\n")
                    pipe.flush()
        except OSError:  # the process is gone, and its last words say why
            while self._points.get() is not None:
                pass


def live_point(progress: RunProgress, rate: float | None) -> dict[str, Any]:
    """A point of the study's run: progress, lanes, lane-steps/s, the mean batch loss of each cell over its seeds."""
    planned = max(progress.lane_steps_planned, 1)
    point = {
        "lane_steps": progress.lane_steps,
        "progress": progress.lane_steps / planned,
        "lanes_finished": progress.lanes,
        "lanes_diverged": progress.diverged,
        "lane_steps_per_second": rate,
    }
    if progress.batch_loss is not None:
        for cell, losses in zip(progress.cells, progress.batch_loss.T.tolist(), strict=True):
            known = [loss for loss in losses if math.isfinite(loss)]
            point[f"loss/{run_names.cell_name(cell.levels)}"] = sum(known) / len(known) if known else None
    return {f"{LIVE}{key}": value for key, value in finite(point).items()}


class _FailedError(Exception):
    """Training ended in an exception."""


def _stream(lines: IO[str]) -> None:
    """Send what the training process writes to W&B, until it ends."""
    header = json.loads(next(lines))
    content = RunContent(**header["content"])

    def points() -> Iterator[dict[str, Any]]:
        for line in lines:
            point = json.loads(line)
            if "failed" not in point:
                yield point
            elif point["failed"]:
                raise _FailedError
            else:
                return
        raise _FailedError  # the training process is gone

    with quiet_wandb() as warnings:
        require_key()
        with open_session(Path(header["results"]), "online", header["project"], header["entity"], warnings) as session:
            try:
                session.follow(content, points(), LIVE)
            except SinkError as error:
                if not isinstance(error.__cause__, _FailedError):
                    raise


def main() -> int:
    """Be the process that talks to W&B; what goes wrong is the last line of stderr."""
    try:
        _stream(sys.stdin)
    except SinkError as error:
        sys.stderr.write(f"{error.reason}\n")
        return 1
    return 0
