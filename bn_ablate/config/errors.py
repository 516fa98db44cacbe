"""What is wrong with a configuration, said for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

from bn_ablate.config.synonyms import ELSEWHERE, VALUES, spelled

ALIKE = 0.6
"""Names as alike as that are near each other."""
MOST_NAMED = 30
"""A message lists no more names than that, and of more only the nearest ones, `MOST_NEAR`."""
MOST_NEAR = 5


class Problem(NamedTuple):
    """One thing that is wrong: the dotted key, and a sentence."""

    key: str
    message: str


class BnAblateError(Exception):
    """An error that is meant for people: its message says what is wrong, where, and what to do; no defect.

    Attributes:
        status: what the command line ends with.
    """

    status: ClassVar[int] = 1


class ConfigError(BnAblateError, ValueError):
    """A configuration that cannot be used; `problems` holds everything that is wrong with it, not just the first.

    Examples:
        >>> bn.build_study(name="mine", norm={"placement": "before"})
        Traceback (most recent call last):
        bn_ablate.config.errors.ConfigError: study: 1 problem
          norm.placement: 'before' is none of none, pre, post; did you mean 'pre'?
    """

    status = 2

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
    """`; did you mean 'x'?` for the known name that `name` stands for, or nothing.

    What other frameworks call it comes first, then the nearest name, the first of equally near ones; no number is near
    another, and nothing is near the name of a thing that is not here.
    """
    words, said = list(known), spelled(name)
    if meant := [word for word in words if spelled(word) == said] or [w for w in VALUES.get(said, ()) if w in words]:
        return did_you_mean(meant[0])
    if said in ELSEWHERE or _is_number(name):
        return ""
    found = max(words, key=lambda word: likeness(name, word), default="")
    return did_you_mean(found) if likeness(name, found) >= ALIKE and not _is_number(found) else ""


def did_you_mean(name: str) -> str:
    """The hint at one name, to be put at the end of a message."""
    return f"; did you mean {name!r}?"


def likeness(name: Any, known: str) -> float:
    """How alike two names are, from 0 to 1, whatever their capitals, hyphens and underscores."""
    return difflib.SequenceMatcher(None, spelled(known), spelled(name)).ratio() if known else 0.0


def one_of(name: Any, known: Iterable[str], where: str = "") -> str:
    """The sentence for a name that is not among the known ones; `where`: what they are, and where, if they are many."""
    names = list(known)
    if len(names) <= MOST_NAMED:
        return f"{show(name)} is none of {', '.join(names)}{nearest(name, names)}"
    near = sorted(names, key=lambda word: -likeness(name, word))[:MOST_NEAR]
    hint = nearest(name, names) or (f"; near it are {', '.join(near)}" if near and not _is_number(near[0]) else "")
    return f"{show(name)} is none of the {len(names):,}{where or f' from {names[0]} to {names[-1]}'}{hint}"


def _is_number(name: Any) -> bool:
    try:
        float(name)
    except (TypeError, ValueError):
        return False
    return not isinstance(name, bool)
