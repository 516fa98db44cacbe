"""The work of a run: what is left of its plan, in shards, each trained, and stored whole before the next begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bn_ablate.plan import Cell, Plan, RunProgress
from bn_ablate.plan.memory import COMPILER_BYTES, estimate_bytes
from bn_ablate.runs.layout import Asked, Layout, settle
from bn_ablate.runs.statement import machine_facts

if TYPE_CHECKING:
    from bn_ablate.config.names import Kept
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Engine, Progress, Shard
    from bn_ablate.results import Checkpoints, Provenance, Record, Store
    from bn_ablate.runs.task import Task


class Crew(Protocol):
    """Who trains the shards of a run.

    Attributes:
        between: called every now and then while training waits for something; what it raises ends the run.
    """

    between: Callable[[], None]

    def begin(self, plan: Plan, dataset: Dataset, folder: Path, asked: Asked) -> Provenance:
        """Get ready to train `plan`, in the layout that the results in `folder` have; the provenance of its lanes."""

    def facts(self) -> dict[str, Any]:
        """What is to be said of the machine, once its device has passed its check."""

    @property
    def layout(self) -> Layout:
        """How the plan is cut."""

    def train(self, task: Task) -> None:
        """Train what is left of `task`, and publish the tables, whatever happens. One may follow another."""


class Here:
    """This process, on its own devices."""

    def __init__(self) -> None:
        self.between: Callable[[], None] = lambda: None

    def begin(self, plan: Plan, dataset: Dataset, folder: Path, asked: Asked) -> Provenance:
        """Start the engine on all local devices."""
        from bn_ablate.engine import Engine
        from bn_ablate.results.provenance import provenance_of

        self.layout = settle(Layout.of(folder), asked)
        machine = self.layout.machine
        self.engine = Engine.on(machine, dataset)
        self.engine.between = self.between
        return provenance_of(self.engine)

    def facts(self) -> dict[str, Any]:
        """What is to be said of this machine, once its device has passed its check.

        Raises:
            DeviceError: it has not.
        """
        return machine_facts(self.engine)

    def train(self, task: Task) -> None:
        """Train what is left of `task`, shard by shard, and publish the tables, whatever happens."""
        from bn_ablate.engine.devices import peak_memory_bytes

        engine, plan, extent = self.engine, task.plan, self.engine.dataset.extent
        work = task.begin(self.layout, extent)
        worker = Worker(engine, task.store, task.checkpoints, task.origin, plan.study.measure.keep)
        tally = Tally(plan, engine, work, task.on_progress)
        spare = self.layout.machine.budget - estimate_bytes(plan, self.layout.machine, extent)
        group = None
        try:
            while work:
                first = work[0]
                others = (shard for shard in work if shard.group is not first.group)
                following = next(others, None) if spare >= COMPILER_BYTES and first.group is not group else None
                group = first.group
                try:
                    diverged = worker.train(first, partial(tally.show, first.cells), following)
                except (MemoryError, RuntimeError) as error:
                    whole, work = work[0], _halved(work, error)
                    task.checkpoints.of(whole.id).remove()
                    task.checkpoints.lay_out([shard.described for shard in work])
                    most = len(work[0].lane_ids)
                    task.note(f"memory did not suffice for more than {most} lanes at once: shards were halved")
                    continue
                tally.add(work.pop(0), diverged)
            task.finish()
        finally:
            task.publish(engine.timing, peak_memory_bytes())


@dataclass(frozen=True)
class Worker:
    """Trains shards on this machine, and stores them."""

    engine: Engine
    store: Store
    checkpoints: Checkpoints
    origin: Record
    keep: tuple[Kept, ...] = ()

    def train(self, shard: Shard, on_progress: Callable[[Progress], None], following: Shard | None = None) -> int:
        """Train `shard`, from its checkpoint where there is one, and store it; how many of its lanes diverged.

        The programs of the `following` shard are compiled meanwhile.

        Raises:
            MemoryError, RuntimeError: of the device, as when there is no memory for it.
            ResultsError: it cannot be stored.
        """
        from bn_ablate.results.recording.frames import tables_of
        from bn_ablate.results.weights import kept_of

        checkpoint = self.checkpoints.of(shard.id)
        outcome = self.engine.run(shard, on_progress, keeper=checkpoint, keep=self.keep, following=following)
        record = self.origin.of(shard.way or self.engine.way, shard)
        kept = kept_of(outcome, self.engine.dataset)
        self.store.add_shard(record.name(shard.id), tables_of(outcome), record, kept)
        checkpoint.remove()
        return int((outcome.diverged_at >= 0).sum())


class Tally:
    """How far a run has come, for `on_progress`."""

    def __init__(
        self, plan: Plan, engine: Engine, work: Sequence[Shard], on_progress: Callable[[RunProgress], None] | None
    ) -> None:
        self._plan = plan
        self._timing, self._before = engine.timing, replace(engine.timing)
        self._on_progress = on_progress
        self._lanes = plan.n_lanes - sum(len(shard.lane_ids) for shard in work)
        self._steps = sum(len(shard.lane_ids) * shard.cells[0].settings.train.steps for shard in work)
        self._diverged = 0

    def show(self, cells: tuple[Cell, ...], progress: Progress) -> None:
        """Report the `progress` of a shard of these cells, added to that of those before it."""
        if self._on_progress:
            before = self._before
            steps = self._timing.lane_steps - before.lane_steps + progress.lane_steps
            seconds = self._timing.train_seconds - before.train_seconds + progress.seconds
            diverged = self._diverged + progress.diverged
            planned = self._steps - (self._timing.resumed - before.resumed)
            lanes = (self._lanes, self._plan.n_lanes)
            self._on_progress(RunProgress(*lanes, steps, planned, seconds, diverged, cells, progress.batch_loss))

    def add(self, shard: Shard, diverged: int) -> None:
        """Count a finished shard, and report it."""
        from bn_ablate.engine import Progress

        self._lanes += len(shard.lane_ids)
        self._diverged += diverged
        self.show((), Progress(0, 0.0, 0))


def _halved(work: list[Shard], error: Exception) -> list[Shard]:
    """`work` with the first shard in halves, since there was no memory for it, and all those of its program too.

    Raises:
        DeviceError: it is a single lane.
        Exception: `error` speaks of something else.
    """
    from bn_ablate.engine import DeviceError, out_of_memory

    first = work[0]
    if not out_of_memory(error):
        raise error
    if first.halves == (first,):
        raise DeviceError(
            "memory does not suffice for a single lane: reduce model.width, train.batch_size, measure.probe or "
            "measure.eval_batch"
        ) from error
    shape = (first.group, first.room, max(first.seed_room, len(first.seeds)))
    halves = (s.halves if (s.group, s.room, max(s.seed_room, len(s.seeds))) == shape else (s,) for s in work)
    return [shard for some in halves for shard in some]
