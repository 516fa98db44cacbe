"""What the command line shows while it trains: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn

from bn_ablate.cli.console import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from bn_ablate.plan import RunProgress

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is printed where the output is not a terminal."""


@contextmanager
def run_progress(console: Console) -> Iterator[Callable[[RunProgress], None]]:
    """Show a bar with lanes, steps/s and time left; on anything but a terminal a line now and then."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = [
        TextColumn("[bold]training"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
    ]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=1.0, state="compiling …")

        def update(progress: RunProgress) -> None:
            share = progress.lane_steps / max(progress.lane_steps_planned, 1)
            bar.update(task, completed=share, state=_state(progress))

        yield update


@contextmanager
def count_progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of what is under way, how much of it is done, and of how much; nothing on anything but a terminal."""
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    console.file = console.file  # TFDS is kept off the terminal by other streams, and those are not for this
    columns = [TextColumn("[bold]{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn()]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


class _Lines:
    """Progress as lines of plain text, at most one every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, progress: RunProgress) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            share = progress.lane_steps / max(progress.lane_steps_planned, 1)
            self._console.print(f"training {share:4.0%}  {_state(progress)}")


def _state(progress: RunProgress) -> str:
    rate = progress.lane_steps / progress.seconds if progress.seconds else 0.0
    left = (progress.lane_steps_planned - progress.lane_steps) / rate if rate else 0.0
    diverged = f" · {progress.diverged} diverged" if progress.diverged else ""
    return f"{progress.lanes}/{progress.lanes_planned} lanes · {rate:,.0f} lane-steps/s · {clock(left)} left{diverged}"
