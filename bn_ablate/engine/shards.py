"""From a plan to shards: the units of work, each a block of cells × seeds of one group."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bn_ablate.config.lane import LaneSettings
from bn_ablate.plan import Cell, Group, Plan
from bn_ablate.plan.memory import shard_shape

if TYPE_CHECKING:
    from bn_ablate.engine.program import Program


class Way(NamedTuple):
    """How lanes go through the devices. It changes no number by more than float32's rounding.

    Attributes:
        strategy: `vmap` (all lanes at once) or `map` (in turn on each device).
        at_once: lanes that go through a step together on a device, for `map`.
        devices: how many devices the lanes are divided over.
    """

    strategy: Literal["vmap", "map"]
    at_once: int
    devices: int


@dataclass(frozen=True)
class Shard:
    """Some cells of one group at some seeds.

    Attributes:
        group: all cells of the group, which together determine the compiled program.
        cells: the cells to train.
        seeds: the seeds to train each of them at.
        room: lanes per seed that the program is compiled for; the shards of a run that differ only in their number of
            cells share it, and so share a program.
        seed_room: seeds that it is compiled for.
        way: how it is trained; the engine's own way when None.
        program: that of `group`, where it is known: then nothing is asked of `group`, which may be empty.
    """

    group: tuple[Cell, ...]
    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    room: int
    seed_room: int = 1
    way: Way | None = None
    program: Program | None = None

    @property
    def lane_ids(self) -> list[str]:
        """Seed by seed, cell by cell."""
        return [cell.lane_id(seed) for seed in self.seeds for cell in self.cells]

    @property
    def id(self) -> str:
        """A hash of the lanes in it."""
        return hashlib.sha256("".join(sorted(self.lane_ids)).encode()).hexdigest()[:16]

    @property
    def halves(self) -> tuple[Shard, ...]:
        """The same lanes in shards whose programs have half the size; just this one where it is a single lane."""
        if self.room > 1:
            room, cells = -(-self.room // 2), self.cells
            return tuple(replace(self, cells=cells[i : i + room], room=room) for i in range(0, len(cells), room))
        room, seeds = -(-max(self.seed_room, len(self.seeds)) // 2), self.seeds
        return tuple(replace(self, seeds=seeds[i : i + room], seed_room=room) for i in range(0, len(seeds), room))

    @property
    def described(self) -> dict[str, Any]:
        """What `shards_of` rebuilds it from: plain data."""
        return {"lanes": self.lane_ids, "seeds": [*self.seeds], "room": self.room, "seed_room": self.seed_room}


def shards_of(
    plan: Plan,
    finished: Set[str] = frozenset(),
    max_lanes: int | Callable[[LaneSettings], int] = 256,
    *,
    as_whole: bool = False,
    begun: Sequence[dict[str, Any]] = (),
    like: Sequence[dict[str, Any]] = (),
) -> list[Shard]:
    """The work that is left of `plan`: blocks of at most `max_lanes` lanes.

    `max_lanes` is a number, or a function of the settings of a group.
    Cells that lack the same seeds go together, in near-equal blocks; a cell whose seeds are too many for one block is
    divided into near-equal blocks of its seeds.
    With `as_whole`, programs get the shapes that the whole plan has, even where the work is a part of it: lanes that go
    through a step together, whose arithmetic depends on how many they are, then give the same bits.
    Shards that an earlier run had laid out, `begun`, stay as they were, where their lanes are still wanted and fit: so
    their checkpoints are of use, and what is trained after a stop is trained in the shapes that it had before.
    Lanes that are in a shard of `like`, which is finished elsewhere and says its `way` too, are trained in its shapes.
    """
    shards = []
    for group in plan.groups:
        most = max_lanes if isinstance(max_lanes, int) else max_lanes(group.settings)
        laid_out = (*_kept(group, plan.seeds, begun), *_replayed(group, plan.seeds, like))
        kept = [shard for shard in laid_out if _fits(shard, most, finished)]
        shards += kept
        taken = finished | {lane for shard in kept for lane in shard.lane_ids}
        lacking: dict[tuple[int, ...], list[Cell]] = {}
        for cell in group.cells:
            seeds = tuple(seed for seed in plan.seeds_of(cell) if cell.lane_id(seed) not in taken)
            if seeds:
                lacking.setdefault(seeds, []).append(cell)
        for seeds, cells in lacking.items():
            n_cells, n_seeds = len(cells), len(seeds)
            if as_whole and plan.whole:
                n_cells, n_seeds = len(group.kin), len(plan.whole.seeds)
            room, seed_room = shard_shape(n_cells, n_seeds, most)
            shards += [
                Shard(group.kin, tuple(cells[i : i + room]), seeds[j : j + seed_room], room, seed_room)
                for i in range(0, len(cells), room)
                for j in range(0, len(seeds), seed_room)
            ]
    return shards


def _kept(group: Group, seeds: tuple[int, ...], begun: Sequence[dict[str, Any]]) -> Iterator[Shard]:
    """The shards of `begun` whose lanes are all of `group`."""
    if not begun:
        return
    cells = {cell.lane_id(seed): cell for cell in group.cells for seed in seeds}
    for said in begun:
        lanes, of_seed = said["lanes"], len(said["lanes"]) // len(said["seeds"])
        if set(lanes) <= cells.keys():
            members = tuple(cells[lane] for lane in lanes[:of_seed])
            shard = Shard(group.kin, members, tuple(said["seeds"]), said["room"], said["seed_room"])
            if shard.lane_ids == lanes:
                yield shard


def _replayed(group: Group, seeds: tuple[int, ...], like: Sequence[dict[str, Any]]) -> Iterator[Shard]:
    """What is wanted of the shards of `like` that hold lanes of `group`, in their shapes and trained their way."""
    wanted = {cell.lane_id(seed): (i, seed) for i, cell in enumerate(group.cells) for seed in seeds} if like else {}
    for said in like:
        mine = [wanted[lane] for lane in said["lanes"] if lane in wanted]
        if mine:
            cells = tuple(group.cells[i] for i in dict.fromkeys(i for i, _ in mine))
            of_them = tuple(dict.fromkeys(seed for _, seed in mine))
            yield Shard(group.kin, cells, of_them, said["room"], said["seed_room"], said["way"])


def _fits(shard: Shard, most: int, finished: Set[str]) -> bool:
    lanes = shard.room * max(len(shard.seeds), shard.seed_room)
    return finished.isdisjoint(shard.lane_ids) and lanes <= max(1, most)
