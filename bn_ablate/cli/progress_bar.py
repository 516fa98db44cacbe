"""What the command line shows while it trains: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from bn_ablate.runs.bar import terminal_bar

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
    with terminal_bar(console) as update:
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
            self._console.print(f"training {progress.share:4.0%}  {progress.state}")
