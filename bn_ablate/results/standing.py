"""What is to be known of results before they are relied on: a run not complete, at work, quick, or of mixed origins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bn_ablate.results.lock import holder_of
from bn_ablate.results.origins import mixture

QUICK = "this is a --quick run, of 2 seeds and a few steps: its numbers and verdicts mean nothing"
PART = "this is part {number}/{of} of its study alone; `bn-ablate merge` puts them together"


def unfinished(manifest: Mapping[str, Any]) -> list[str]:
    """A sentence on a run that is under way or was stopped; none where it is complete."""
    status = manifest.get("status")
    said = f"the run is not complete: its status is {status!r}; `bn-ablate run` resumes it"
    return [said] if status != "complete" else []


def incomplete(manifest: Mapping[str, Any]) -> list[str]:
    """Sentences on why a manifest's results are not those of a whole study: unfinished, a part of one, quick."""
    part, quick = manifest.get("part"), manifest.get("quick")
    return [*unfinished(manifest), *([PART.format(**part)] if part else []), *([QUICK] if quick else [])]


def caveats(manifest: Mapping[str, Any]) -> list[str]:
    """Sentences on what a manifest says of its results that whoever is shown them has to know; none, as a rule."""
    mixed = mixture(manifest)
    return [*incomplete(manifest), *([mixed.statement] if mixed else [])]


def at_work(path: Path) -> list[str]:
    """A sentence on who writes to the results folder `path` at this moment; none where nobody does."""
    holder = holder_of(path)
    return [f"{holder} is at work on it: what is here may change at any moment"] if holder else []
