"""The layout of a results folder: what its shards are cut for, decided once and kept for whoever resumes it."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal

from bn_ablate.plan.memory import SHARE, Machine

Strategy = Literal["auto", "vmap", "map"]


def settle(folder: Path, strategy: Strategy = "auto", at_once: int | None = None, memory: int | None = None) -> Machine:
    """The layout of the results in `folder`: the one they have, if nothing else is asked for and it fits here.

    Else it is decided now: by what is asked for, and by the devices and the memory of this machine for the rest. A run
    that is resumed on another machine of the kind, with other devices or less free memory, so has the shards that it
    had. A layout is not kept on another platform, nor where it takes more memory than there is.
    """
    from bn_ablate.engine import machine

    now = machine(strategy, at_once, memory)
    stored = _stored(folder)
    if stored is None or stored.platform != now.platform:
        return now
    asked = {"strategy": strategy, "at_once": at_once, "budget": memory}
    as_asked = all(value in (None, "auto", getattr(stored, name)) for name, value in asked.items())
    return stored if as_asked and stored.budget <= machine(strategy, at_once).budget / SHARE else now


def described(layout: Machine) -> dict[str, Any]:
    """A layout as a manifest has it."""
    return asdict(layout)


def _stored(folder: Path) -> Machine | None:
    """The layout that the manifest in `folder` tells of; None where there is none."""
    from bn_ablate.results import ResultsError
    from bn_ablate.results.manifest import read_manifest

    try:
        said = read_manifest(folder).get("layout")
    except ResultsError:
        return None
    return Machine(**{field.name: said[field.name] for field in fields(Machine)}) if said else None
