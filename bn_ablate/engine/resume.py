"""A shard in the middle of its training, as plain arrays, and back again to the bit."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from bn_ablate.engine.many_lanes import Layout
from bn_ablate.engine.observe import Observation
from bn_ablate.engine.program import Program
from bn_ablate.engine.shards import Shard
from bn_ablate.engine.train import TrainState

SNAPSHOT_FORMAT = 1


@runtime_checkable
class Keeper(Protocol):
    """What keeps the state of a shard; `bn_ablate.results.checkpoints.Checkpoint` is one."""

    def due(self) -> bool:
        """Whether it is time to save."""

    def save(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Save the state that the program `key` can go on from."""

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """What was saved for the program `key`, if anything."""


class Snapshot(NamedTuple):
    """Where a shard stands between two segments.

    Attributes:
        step: training steps done.
        states: of all lanes, with those that fill up the layout.
        seen: what was measured so far, a host array for each leaf and time.
    """

    step: int
    states: TrainState
    seen: list[Observation]


def program_key(program: Program, strategy: str, layout: Layout, shard: Shard, keep: tuple[str, ...] = ()) -> str:
    """A hash of what a snapshot's bits depend on, besides code, versions, data and device, which the keeper sees to."""
    said = (
        SNAPSHOT_FORMAT,
        program,
        (strategy, layout.axis, layout.mesh.size, layout.seeds, layout.cells, layout.at_once),
        shard.lane_ids,
        *([keep] if keep else []),
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()


def pack(snapshot: Snapshot) -> dict[str, np.ndarray]:
    """A snapshot as arrays by name; what was measured has the times as its first axis."""
    states = {f"state_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(snapshot.states))}
    times = zip(*map(jax.tree.leaves, snapshot.seen), strict=True)
    return {
        "step": np.asarray(snapshot.step),
        **states,
        **{f"seen_{i}": np.stack(leaves) for i, leaves in enumerate(times)},
    }


def unpack(arrays: dict[str, np.ndarray], initial: TrainState, seen: Any) -> Snapshot:
    """The snapshot in `arrays`, its states placed on devices as the `initial` ones are; `seen` is the tree to rebuild.

    Raises:
        ValueError: they do not fit the program; which a key that fits rules out.
    """

    def placed(saved: np.ndarray, leaf: jax.Array) -> Any:
        if (saved.shape, saved.dtype) != (leaf.shape, leaf.dtype):
            raise ValueError(f"a leaf of {leaf.dtype}{leaf.shape} was saved as {saved.dtype}{saved.shape}")
        return jax.device_put(saved, leaf.sharding)

    leaves, tree = jax.tree.flatten(initial)
    states = jax.tree.unflatten(tree, [placed(arrays[f"state_{i}"], leaf) for i, leaf in enumerate(leaves)])
    measured = [arrays[f"seen_{i}"] for i in range(seen.num_leaves)] if "seen_0" in arrays else []
    times = len(measured[0]) if measured else 0
    return Snapshot(
        int(arrays["step"]), states, [jax.tree.unflatten(seen, [leaf[t] for leaf in measured]) for t in range(times)]
    )
