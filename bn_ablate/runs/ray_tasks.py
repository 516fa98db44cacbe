"""What a worker of a cluster does: one shard on its one device. It knows nothing of Ray.

It writes nothing but checkpoints, and these only where it sees the folder of the results.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from bn_ablate.config.errors import BnAblateError, printable
from bn_ablate.config.extensions import load_extension
from bn_ablate.plan.memory.host import cores
from bn_ablate.runs.layout import Asked, Layout, settle
from bn_ablate.runs.statement import machine_facts

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.config.names import Kept
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Engine, Shard, Timing
    from bn_ablate.results import Provenance, Record
    from bn_ablate.results.checkpoints import Checkpoint
    from bn_ablate.results.weights import KeptWeights


class Job(NamedTuple):
    """What every task of a run is given, once for each node.

    Attributes:
        device: `cpu` or `cuda`.
        extensions: the files of a user's own parts, by `SHA/name`.
        layout: decided by the first task; what is stored, before that.
        asked: what is asked for of the layout.
        keep: which weights are kept.
        origin: where what is trained now comes from.
        folder: that of the results, where the driver has it.
        lock: what the driver's lock there says, by which a worker knows the folder for the same.
    """

    device: str
    extensions: Mapping[str, bytes]
    layout: Layout | None
    asked: Asked
    keep: tuple[Kept, ...] = ()
    origin: Record | None = None
    folder: Path = Path()
    lock: str = ""


class Seen(NamedTuple):
    """What a worker found out before anything was trained."""

    layout: Layout
    provenance: Provenance
    facts: dict[str, Any]


class Trained(NamedTuple):
    """What came of a shard: its tables, the weights kept, where they come from, what it took, and remarks."""

    tables: dict[str, pl.DataFrame]
    weights: KeptWeights | None
    record: Record
    diverged: int
    timing: Timing
    peak_bytes: int
    notes: tuple[str, ...]


class Failed(NamedTuple):
    """Why a task failed, in a sentence with its node."""

    said: str


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """In a worker: what `function` gives, or why it fails, so that it is said once, and with the node."""
    try:
        return function(*arguments)
    except Exception as error:
        from bn_ablate.engine import out_of_memory

        why = str(error) if isinstance(error, BnAblateError) else f"{type(error).__name__}: {error}"
        if out_of_memory(error):
            why = "memory does not suffice for a shard; the same command with a smaller --memory resumes"
        return Failed(printable(f"on the node {platform.node()}: {why}", keep="\n"))


def look(job: Job, dataset: Dataset) -> Seen:
    """In a worker: settle the layout, check the device, and say where lanes that are trained here come from."""
    from bn_ablate.results.provenance import provenance_of

    _set_up(job.device)
    layout = settle(job.layout, job.asked, share=cores() if job.device == "cpu" else 1)
    trainer = _engine(layout, dataset)
    return Seen(layout, provenance_of(trainer), machine_facts(trainer))


def train_shard(job: Job, dataset: Dataset, shard: Shard) -> Trained:
    """In a worker: train one shard on its one device, from its checkpoint where there is one."""
    from bn_ablate.engine.devices import peak_memory_bytes
    from bn_ablate.results.provenance import provenance_of
    from bn_ablate.results.recording.frames import tables_of
    from bn_ablate.results.weights import kept_of

    assert job.layout is not None
    assert job.origin is not None
    _set_up(job.device)
    _load(tuple(job.extensions.items()))
    trainer = _engine(job.layout, dataset)
    before, here, notes = replace(trainer.timing), provenance_of(trainer), list[str]()
    outcome = trainer.run(shard, keeper=checkpoint_of(shard.id, job, here, notes.append), keep=job.keep)
    record = replace(job.origin, provenance=here).of(shard.way or trainer.way, shard)
    diverged = int((outcome.diverged_at >= 0).sum())
    tables, kept, took = tables_of(outcome), kept_of(outcome, dataset), added(trainer.timing, before, -1)
    return Trained(tables, kept, record, diverged, took, peak_memory_bytes(), tuple(notes))


def checkpoint_of(shard: str, job: Job, here: Provenance, tell: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint of a shard, where this process sees the folder that the driver writes to, and may write there."""
    from bn_ablate.results import Checkpoints
    from bn_ablate.results.lock import lock_text

    checkpoints = Checkpoints(job.folder, here, tell)
    shared = bool(job.lock) and lock_text(job.folder) == job.lock and os.access(checkpoints.path, os.W_OK)
    return checkpoints.of(shard) if shared else None


@cache
def _set_up(device: str) -> None:
    """Prepare JAX, once in a worker; on a CPU a task is one core, and so one device."""
    from bn_ablate.engine import set_up

    set_up(device, host_devices=1)


@cache
def _load(extensions: tuple[tuple[str, bytes], ...]) -> None:
    """Run a user's own files, once in a worker."""
    folder = TemporaryDirectory()
    _KEPT.append(folder)
    for name, content in extensions:
        file = Path(folder.name) / name
        file.parent.mkdir()
        file.write_bytes(content)
        load_extension(file)


def _engine(layout: Layout, dataset: Dataset) -> Engine:
    """The engine of this worker, kept for its next task."""
    from bn_ablate.engine import Engine

    machine = layout.machine
    key = (dataset.sha256, machine)
    if key not in _ENGINES:
        _ENGINES.clear()
        _ENGINES[key] = Engine.on(machine, dataset)
    return _ENGINES[key]


_ENGINES: dict[Any, Engine] = {}
_KEPT: list[TemporaryDirectory[str]] = []


def added(timing: Timing, more: Timing, sign: int = 1) -> Timing:
    """Two timings, added up; of programs, the larger number."""
    return replace(
        timing,
        compile_seconds=timing.compile_seconds + sign * more.compile_seconds,
        train_seconds=timing.train_seconds + sign * more.train_seconds,
        lane_steps=timing.lane_steps + sign * more.lane_steps,
        resumed=timing.resumed + sign * more.resumed,
        programs=max(timing.programs, more.programs),
    )
