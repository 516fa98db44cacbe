"""The layout of a results folder: how its plan is cut into shards, decided once and kept for whoever resumes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bn_ablate.plan import Part, Plan, divisible, portion
from bn_ablate.plan.memory import SHARE, Machine, lanes_that_fit

if TYPE_CHECKING:
    from bn_ablate.config import LaneSettings
    from bn_ablate.config.architectures import Extent
    from bn_ablate.engine import Shard

Strategy = Literal["auto", "vmap", "map"]


class Asked(NamedTuple):
    """What is asked for of a layout; what is not, follows from the machine."""

    strategy: Strategy = "auto"
    at_once: int | None = None
    memory: int | None = None


class Layout(NamedTuple):
    """How a plan is cut: first in parts, then in shards that fit into the memory of the machine that trains each."""

    machine: Machine
    parts: int = 1

    @property
    def described(self) -> dict[str, Any]:
        """It, as a manifest has it."""
        return asdict(self.machine) | {"parts": self.parts}

    @classmethod
    def of(cls, folder: Path) -> Layout | None:
        """That of the results in `folder`; None where there are none, or it was not stored."""
        from bn_ablate.results import ResultsError
        from bn_ablate.results.manifest import read_manifest

        try:
            said: Mapping[str, Any] | None = read_manifest(folder).get("layout")
        except ResultsError:
            return None
        machine = {field.name: said[field.name] for field in fields(Machine)} if said else {}
        return cls(Machine(**machine), max(1, said.get("parts", 1))) if said else None

    def shards(
        self,
        plan: Plan,
        finished: Set[str],
        extent: Extent,
        begun: Sequence[dict[str, Any]] = (),
        like: Sequence[dict[str, Any]] = (),
    ) -> list[Shard]:
        """What is left of `plan`, as shards: as they were `begun`, or trained in those of `like`."""
        from bn_ablate.engine import shards_of

        together = self.machine.together
        parts = self.parts if divisible(plan, self.parts) else 1
        some = [portion(plan, Part(i + 1, parts)) for i in range(parts)] if parts > 1 else [plan]

        def shards(part: Plan) -> list[Shard]:
            seeds = (part.whole or part).seeds if together else part.seeds

            def room(settings: LaneSettings) -> int:
                return lanes_that_fit(settings, len(seeds), self.machine, extent)

            return shards_of(part, finished, room, as_whole=together, begun=begun, like=like)

        return [shard for part in some for shard in shards(part)]


def settle(stored: Layout | None, asked: Asked, share: int = 1) -> Layout:
    """The layout that is `stored`, if nothing else is asked for and it fits this machine, which trains by it.

    Else it is decided now: by what is asked for, and by the devices and the memory of this machine for the rest, of
    which as many as `share` processes may take the same. A run that is resumed on another machine of the kind, with
    other devices or less free memory, so has the shards that it had. A layout is not kept on another platform, nor
    where it takes more memory than there is.
    """
    from bn_ablate.engine import machine

    there = machine(asked.strategy, asked.at_once).budget
    now = machine(asked.strategy, asked.at_once, asked.memory or there // share)
    if stored is None or stored.machine.platform != now.platform:
        return Layout(now)
    kept = stored.machine
    as_asked = (
        asked.strategy in ("auto", kept.strategy)
        and asked.at_once in (None, kept.at_once)
        and asked.memory in (None, kept.budget)
    )
    return stored if as_asked and kept.budget <= there / SHARE else Layout(now, stored.parts)
