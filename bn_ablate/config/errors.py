"""What is wrong with a configuration, said for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong: the dotted key, and a sentence."""

    key: str
    message: str


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` holds everything that is wrong with it, not just the first."""

    def __init__(self, source: str, problems: Iterable[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        lines = [f"{source}: {len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"]
        lines += [f"{p.key}: {p.message}" if p.key else p.message for p in self.problems]
        super().__init__("\n  ".join(map(printable, lines)))


def printable(text: str, keep: str = "") -> str:
    """`text` with escapes for what a terminal does not show but obeys, except the characters in `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def show(value: Any, limit: int = 80) -> str:
    """`value` as it would stand in a message: short, on one line."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: Any, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name nearest to `name`, the first of equally near ones, or nothing."""
    likeness = {word: difflib.SequenceMatcher(None, word, str(name)).ratio() for word in known}
    found = max(likeness, key=likeness.__getitem__, default="")
    return f"; did you mean {found!r}?" if likeness.get(found, 0.0) >= 0.5 else ""


def one_of(name: Any, known: Iterable[str]) -> str:
    """The sentence for a name that is not among the known ones."""
    names = list(known)
    return f"{show(name)} is none of {', '.join(names)}{nearest(name, names)}"
