"""The console that everything is printed to, and how counts and seeds are written."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape as without_markup

from bn_ablate.cli.printed_commands import runnable
from bn_ablate.config.errors import printable


def make_console() -> Console:
    """The console that everything is printed to; wide enough for its tables where the output is a file."""
    console = _Console(highlight=False)
    return console if console.is_terminal else _Console(highlight=False, width=120)


class _Console(Console):
    """A console that prints commands as they run here, and leaves it to the command line what a broken pipe means."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*(runnable(item) if isinstance(item, str) else item for item in objects), **how)

    def on_broken_pipe(self) -> None:
        if error := sys.exception():
            raise error


def escape(text: str) -> str:
    """What a study says of itself, as plain text: neither markup nor codes that a terminal obeys."""
    return without_markup(printable(text, keep="\n"))


def count(n: int, one: str, many: str = "") -> str:
    """`1 lane`, `3 lanes`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def ranges(seeds: tuple[int, ...]) -> str:
    """`0 to 9` where they follow one another, else all of them."""
    whole = tuple(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if seeds == whole and len(seeds) > 2 else ", ".join(map(str, seeds))
