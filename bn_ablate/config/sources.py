"""The sources of this package that make numbers, and their hash."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The package's folder."""

SOURCES = ("config", "plan", "data", "nn", "measure", "engine", "results/recording")
"""The folders of the modules that make the numbers of a shard out of settings and data."""

NO_NUMBERS = (
    *("config/claims", "config/errors", "config/extensions", "config/gathered", "config/given", "config/hints"),
    *("config/hypotheses", "config/hypothesis_checks", "config/kinds", "config/load", "config/notes", "config/only"),
    *(
        "config/precision",
        "config/primary",
        "config/published",
        "config/registry",
        "config/shipped",
        "config/sides",
        "config/sources",
        "config/study_files",
        "config/synonyms",
        "config/text",
    ),
    *("config/version", "engine/executables", "engine/known_devices", "engine/selfcheck"),
    *("plan/memory", "plan/progress", "plan/refusals"),
)
"""Modules and folders in them that only read a study, estimate its memory, or say what is wrong with either."""


@cache
def source_hash(root: Path = ROOT) -> str:
    """The SHA-256 of the sources that make numbers, by their paths in the package `root` and their bytes.

    A checkout and an installed wheel of the same sources give the same. A user's own parts are in the ids of the lanes
    that use them instead.
    """
    digest = hashlib.sha256()
    for name, file in _named(root):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def source_files(root: Path = ROOT) -> list[str]:
    """The files that `source_hash` covers, as POSIX paths in the package `root`."""
    return [name for name, _ in _named(root)]


def _named(root: Path) -> list[tuple[str, Path]]:
    found = (file for folder in SOURCES for file in (root / folder).rglob("*.py"))
    named = ((file.relative_to(root).as_posix(), file) for file in found)
    apart = tuple(f"{place}{end}" for place in NO_NUMBERS for end in (".py", "/"))
    return sorted((name, file) for name, file in named if not name.startswith(apart))
