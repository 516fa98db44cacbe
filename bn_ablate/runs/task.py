"""What a crew is given to train, and what is written of it before, meanwhile and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bn_ablate.runs.statement import afterwards

if TYPE_CHECKING:
    from bn_ablate.config.architectures import Extent
    from bn_ablate.engine import Shard, Timing
    from bn_ablate.plan import Plan, RunProgress
    from bn_ablate.results import Checkpoints, Held, Record, Store
    from bn_ablate.runs.layout import Layout


@dataclass
class Task:
    """What the open `store` lacks of `plan`. `begin` comes first, and `publish` last, whatever happens.

    Attributes:
        manifest: what is to be said of the run; from `begin` on, only what is true of the finished lanes too.
        like: shards that those which are trained now are to be cut like.
        on_progress: called now and then while lanes train.
        status: what to call results that lack nothing of the plan.
        notes: what became known on the way, of this run's earlier tasks as well.
        origin: where what is trained now comes from; from `begin` on.
        checkpoints: of its shards; from `begin` on.
    """

    plan: Plan
    store: Store
    manifest: dict[str, Any]
    like: Sequence[Held]
    on_progress: Callable[[RunProgress], None] | None
    status: str
    notes: list[str]
    origin: Record = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    _found: str = field(default="interrupted", init=False)

    def begin(self, layout: Layout, extent: Extent) -> list[Shard]:
        """The shards that are left, as `layout` cuts them: the first to be trained first."""
        from bn_ablate.results import Checkpoints, Record
        from bn_ablate.results.origins import CLAIMED, by_shard, said_of

        assert self.store.here is not None
        claimed = {key: self.manifest[key] for key in CLAIMED if key in self.manifest}
        self.origin = Record(self.store.here, {}, claimed)
        finished = self.store.usable(self.plan)
        self.manifest = said_of(self.manifest, [*(shard.record for shard, _ in by_shard(finished)), self.origin])
        self._write()
        self.checkpoints = Checkpoints(self.store.path, self.origin.provenance, self.note)
        shapes = [said for shard in self.like if (said := shard.described)]
        work = layout.shards(self.plan, finished.keys(), extent, self.checkpoints.laid_out(), shapes)
        self.checkpoints.lay_out([shard.described for shard in work])
        return work

    def note(self, text: str) -> None:
        """Say something that became known on the way."""
        self.notes.append(text)
        self._write()

    def finish(self) -> None:
        """Nothing is left to train."""
        self.checkpoints.remove()
        self.store.drop_superseded()
        self._found = self.status

    def publish(self, timing: Timing, peak_bytes: int) -> None:
        """Put the tables of what is finished together."""
        self.store.publish(
            self.plan, self.manifest | afterwards(timing, peak_bytes, self._found) | {"notes": self.notes}
        )

    def _write(self) -> None:
        self.store.write_manifest(self.manifest | ({"notes": self.notes} if self.notes else {}))
