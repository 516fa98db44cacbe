"""Where in a study file a key stands, which `tomllib` does not say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from bn_ablate.config.errors import ConfigError, Problem

HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]")
PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
ENTRY = re.compile(rf"\s*({PART}(?:\s*\.\s*{PART})*)\s*=\s*(.*)")
LAST = re.compile(r"(\[\d+\]|\.?[^.\[\]]*)$")
LONG = ('"""', "'''")


def with_lines(error: ConfigError, text: str, overrides: Iterable[str] = ()) -> ConfigError:
    """The same error, with the line of the file's `text` for each problem whose key, or what is around it, is there.

    What an override such as `train.steps=0` says stands in no line.
    """
    lines, set_elsewhere = lines_of(text), [override.partition("=")[0].strip() for override in overrides]
    problems = []
    for key, message in error.problems:
        line = None if any(f"{key}.".startswith(f"{name}.") for name in set_elsewhere) else _line(key, lines)
        problems.append(Problem(key, f"{message} (line {line})" if line else message))
    return ConfigError(error.source, problems)


def lines_of(text: str) -> dict[str, int]:
    """Dotted key -> its line; a table of a list is called by its place, `hypotheses[0]`, and by its `id`."""
    lines: dict[str, int] = {}
    counts: Counter[str] = Counter()
    names = [""]  # of the table that the line is in
    quotes = ""  # those of a text of several lines that the line is in
    for number, line in enumerate(text.splitlines(), 1):
        if quotes:
            quotes = "" if quotes in line else quotes
        elif header := HEADER.match(line):
            name = _plain(header[2])
            names = [name if header[1] == "[" else f"{name}[{counts[name]}]"]
            counts[name] += 1
            lines.setdefault(name, number)
            lines[names[0]] = number
        elif entry := ENTRY.match(line):
            key, value = _plain(entry[1]), entry[2]
            if key == "id" and (called := re.match(r"""(["'])(.+?)\1""", value)):
                names.append(f"{names[0].partition('[')[0]}.{called[2]}")
                lines |= {names[1] + at.removeprefix(names[0]): n for at, n in lines.items() if at.startswith(names[0])}
            lines |= {f"{name}.{key}".lstrip("."): number for name in names}
            quotes = next((long for long in LONG if value.count(long) == 1), "")
    return lines


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _line(key: str, lines: dict[str, int]) -> int | None:
    """The line of a key, or of the nearest thing around it that has one."""
    while key not in lines:
        shorter = LAST.sub("", key, count=1)
        if shorter == key:
            return None
        key = shorter
    return lines[key]
