"""What `bn-ablate plan | run` do about machines: who trains, how parts become one, how long it takes here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bn_ablate.cli.console import count
from bn_ablate.plan import clock

if TYPE_CHECKING:
    from bn_ablate.plan import Part, Plan
    from bn_ablate.runs.layout import Asked
    from bn_ablate.runs.training import Crew


@contextmanager
def crew_of(on: str, address: str | None, device: str, console: Console) -> Iterator[Crew]:
    """Who trains: this process, or a cluster."""
    from bn_ablate.runs.training import Here

    if on == "here":
        yield Here()
        return
    from bn_ablate.runs.on_ray import crew_on_ray

    with crew_on_ray(address, device) as crew:
        devices = count(crew.workers, "core" if crew.device == "cpu" else "GPU")
        console.print(f"on Ray: {devices}, each trains a shard at a time")
        yield crew


def show_merge(console: Console, plan: Plan, part: Part, results: Path) -> None:
    """Print how the parts of `plan` become one when all are there."""
    whole = results / plan.study.name
    every = f"{shlex.quote(str(whole))}.part-*-of-{part.of}"
    console.print(f"part {part} is done: {results / part.folder(plan.study.name)}", soft_wrap=True, markup=False)
    console.print(
        f"when all {part.of} are: bn-ablate merge {every} --into {shlex.quote(str(whole))}",
        soft_wrap=True,
        markup=False,
    )


def show_time(console: Console, plan: Plan, asked: Asked) -> None:
    """Print how long a run of `plan` would take here, by a trial."""
    from bn_ablate.runs.trial import time_plan

    with console.status("a trial of each program"):
        times = time_plan(plan, asked)
    programs = count(len(plan.groups), "program")
    console.print(
        f"about {clock(times.train)} of training here, after {clock(times.compile)} for {programs}; by a trial"
    )
