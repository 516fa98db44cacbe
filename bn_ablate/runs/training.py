"""The work of a run: what is left of its plan, in shards, each trained, and stored whole before the next begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bn_ablate.plan import Cell, Plan, RunProgress
from bn_ablate.plan.memory import COMPILER_BYTES, Machine, estimate_bytes
from bn_ablate.runs.statement import afterwards

if TYPE_CHECKING:
    from bn_ablate.config import LaneSettings
    from bn_ablate.engine import Engine, Progress, Shard
    from bn_ablate.results import Checkpoints, Held, Record, Store


def train(
    plan: Plan,
    store: Store,
    engine: Engine,
    layout: Machine,
    manifest: dict[str, Any],
    like: Sequence[Held],
    on_progress: Callable[[RunProgress], None] | None,
) -> None:
    """Train what the open `store` lacks of `plan`, and publish the tables, whatever happens."""
    from bn_ablate.results import Checkpoints, Record
    from bn_ablate.results.origins import CLAIMED, said_of

    assert store.here is not None
    origin = Record(store.here, {}, {key: manifest[key] for key in CLAIMED if key in manifest})
    manifest = said_of(manifest, [*(shard.record for shard in store.usable(plan).values()), origin])
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        store.write_manifest(manifest | {"notes": notes})

    store.write_manifest(manifest)
    checkpoints = Checkpoints(store.path, store.here, note)
    work = _left(plan, store, engine, layout, checkpoints.laid_out(), like)
    checkpoints.lay_out([shard.described for shard in work])
    worker = Worker(engine, store, checkpoints, origin)
    tally = Tally(plan, engine, work, on_progress)
    spare = layout.budget - estimate_bytes(plan, layout, engine.dataset.extent)
    status, group = "interrupted", None
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
                checkpoints.of(whole.id).remove()
                checkpoints.lay_out([shard.described for shard in work])
                note(f"memory did not suffice for more than {len(work[0].lane_ids)} lanes at once: shards were halved")
                continue
            tally.add(work.pop(0), diverged)
        checkpoints.remove()
        store.drop_superseded()
        status = "complete"
    finally:
        store.publish(plan, manifest | afterwards(engine, status) | {"notes": notes})


@dataclass(frozen=True)
class Worker:
    """Trains shards on this machine, and stores them."""

    engine: Engine
    store: Store
    checkpoints: Checkpoints
    origin: Record

    def train(self, shard: Shard, on_progress: Callable[[Progress], None], following: Shard | None = None) -> int:
        """Train `shard`, from its checkpoint where there is one, and store it; how many of its lanes diverged.

        The programs of the `following` shard are compiled meanwhile.

        Raises:
            MemoryError, RuntimeError: of the device, as when there is no memory for it.
            ResultsError: it cannot be stored.
        """
        from bn_ablate.results.recording.frames import tables_of

        checkpoint = self.checkpoints.of(shard.id)
        outcome = self.engine.run(shard, on_progress, keeper=checkpoint, following=following)
        record = self.origin.of(shard.way or self.engine.way, shard)
        self.store.add_shard(record.name(shard.id), tables_of(outcome), record)
        checkpoint.remove()
        return int((outcome.diverged_at >= 0).sum())


class Tally:
    """How far a run has come, for `on_progress`."""

    def __init__(
        self, plan: Plan, engine: Engine, work: Sequence[Shard], on_progress: Callable[[RunProgress], None] | None
    ) -> None:
        self._plan = plan
        self._timing = engine.timing
        self._on_progress = on_progress
        self._lanes = plan.n_lanes - sum(len(shard.lane_ids) for shard in work)
        self._steps = sum(len(shard.lane_ids) * shard.cells[0].settings.train.steps for shard in work)
        self._diverged = 0

    def show(self, cells: tuple[Cell, ...], progress: Progress) -> None:
        """Report the `progress` of a shard of these cells, added to that of those before it."""
        if self._on_progress:
            steps = self._timing.lane_steps + progress.lane_steps
            seconds = self._timing.train_seconds + progress.seconds
            diverged, planned = self._diverged + progress.diverged, self._steps - self._timing.resumed
            lanes = (self._lanes, self._plan.n_lanes)
            self._on_progress(RunProgress(*lanes, steps, planned, seconds, diverged, cells, progress.batch_loss))

    def add(self, shard: Shard, diverged: int) -> None:
        """Count a finished shard, and report it."""
        from bn_ablate.engine import Progress

        self._lanes += len(shard.lane_ids)
        self._diverged += diverged
        self.show((), Progress(0, 0.0, 0))


def _left(
    plan: Plan,
    store: Store,
    engine: Engine,
    layout: Machine,
    begun: list[dict[str, Any]],
    like: Sequence[Held],
) -> list[Shard]:
    """What `store` lacks of `plan`, in shards of that `layout`: as they were `begun`, or trained in `like`."""
    from bn_ablate.engine import shards_of
    from bn_ablate.plan.memory import lanes_that_fit

    n_seeds = len((plan.whole or plan).seeds if layout.together else plan.seeds)

    def room(settings: LaneSettings) -> int:
        return lanes_that_fit(settings, n_seeds, layout, engine.dataset.extent)

    shapes = [said for shard in like if (said := shard.described)]
    used = store.usable(plan).keys()
    return shards_of(plan, used, room, as_whole=layout.together, begun=begun, like=shapes)


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
