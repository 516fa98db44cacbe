"""The bar that a run shows of itself, where somebody looks on: in a terminal or a notebook."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bn_ablate.plan import RunProgress

COMPILING = "compiling …"


@contextmanager
def progress_bar(shown: bool = True) -> Iterator[Callable[[RunProgress], None]]:
    """Show a bar on standard error if that is a terminal, or below a notebook's cell; nothing elsewhere."""
    from rich.console import Console

    console = Console(stderr=True)
    if shown and sys.stderr is not None and sys.stderr.isatty():
        with terminal_bar(console) as update:
            yield update
    elif shown and console.is_jupyter:
        yield _CellBar()
    else:
        yield lambda progress: None


@contextmanager
def terminal_bar(console: Console) -> Iterator[Callable[[RunProgress], None]]:
    """Show a bar with lanes, steps/s, time left and loss on a terminal, which goes when the run ends."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = [
        TextColumn("[bold]training"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
    ]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=1.0, state=COMPILING)
        yield lambda progress: bar.update(task, completed=progress.share, state=progress.state)


class _CellBar:
    """The bar as output of a notebook's cell, which needs no widgets, and stays as the run ends."""

    def __init__(self) -> None:
        shown = import_module("IPython.display")  # there where there is a notebook
        self._html = shown.HTML
        self._output = shown.display(self._html(_as_html(0.0, COMPILING)), display_id=True)

    def __call__(self, progress: RunProgress) -> None:
        self._output.update(self._html(_as_html(progress.share, progress.state)))


def _as_html(share: float, state: str) -> str:
    return f'<progress value="{share:.3f}" style="width: 16em" aria-label="training"></progress> {share:.0%} {state}'
