"""Where a program's examples come from: all of them on the device, or blocks of them, read as they are needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding
from jaxtyping import Int32

from bn_ablate.data import Dataset
from bn_ablate.data.mapped import taken
from bn_ablate.engine.examples import Examples
from bn_ablate.engine.many_lanes import Layout
from bn_ablate.plan.memory import BLOCK_BYTES

T = TypeVar("T")


class Feed(ABC):
    """Gives programs the examples that they ask for by their indices in the data set, with a leading axis of seeds."""

    @abstractmethod
    def give(self, indices: Any) -> tuple[Examples, Any]:
        """Examples on the devices, and where those at `indices`, a tree of arrays, are among them."""

    @abstractmethod
    def like(self, indices: Any) -> Examples:
        """Shapes, types and places of the examples that `give` would give."""

    @abstractmethod
    def passes_at_once(self, n: int, seeds: int, size: int) -> int:
        """How many of `n` passes over `size` examples of each seed are taken in one call."""


@dataclass(frozen=True)
class Resident(Feed):
    """The whole data set, of which every device has a copy."""

    examples: Examples

    @classmethod
    def on(cls, dataset: Dataset, layout: Layout) -> Resident:
        """The examples of `dataset`, placed on the devices of `layout`."""
        place = NamedSharding(layout.mesh, layout.of_examples)
        return cls(jax.device_put(Examples(dataset.images, dataset.labels), place))  # type: ignore[arg-type]

    def give(self, indices: Any) -> tuple[Examples, Any]:
        """All examples."""
        return self.examples, indices

    def like(self, indices: Any) -> Examples:
        """All examples."""
        return self.examples

    def passes_at_once(self, n: int, seeds: int, size: int) -> int:
        """All."""
        return n


@dataclass(frozen=True)
class Streamed(Feed):
    """The examples that are asked for, gathered for each call.

    Attributes:
        dataset: where they are, perhaps memory-mapped from a file.
        labels: of each seed those of all examples, where some have others than their own.
        layout: what devices they are for.
    """

    dataset: Dataset
    labels: Int32[np.ndarray, "seeds examples"] | None
    layout: Layout

    def give(self, indices: Any) -> tuple[Examples, Any]:
        """Those examples alone: of each seed its own, one after the other, and of a device those of its seeds."""
        leaves, tree = jax.tree.flatten(indices)
        seeds = len(leaves[0])
        flat = np.concatenate([leaf.reshape(seeds, -1) for leaf in leaves], 1)
        images = taken(self.dataset.images, flat.reshape(-1))
        labels = self.dataset.labels[flat] if self.labels is None else np.take_along_axis(self.labels, flat, 1)
        there = jax.device_put(Examples(images, labels.reshape(-1)), self._place)  # type: ignore[arg-type]
        places = (np.arange(flat.size, dtype=np.int32) % (flat.size // self._shares)).reshape(flat.shape)
        ends = np.cumsum([leaf[0].size for leaf in leaves])[:-1]
        parts = np.split(places, ends, 1)
        return there, jax.tree.unflatten(
            tree, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        )

    def like(self, indices: Any) -> Examples:
        """A block of as many."""
        n, images = sum(leaf.size for leaf in jax.tree.leaves(indices)), self.dataset.images

        def struct(kind: Any, *shape: int) -> Any:
            return jax.ShapeDtypeStruct((n, *shape), kind, sharding=self._place)

        return Examples(struct(images.dtype, *images.shape[1:]), struct(np.int32))

    def passes_at_once(self, n: int, seeds: int, size: int) -> int:
        """What makes a block of its usual size; two at least, for XLA makes other code of a loop over one pass."""
        a_pass: int = seeds * size * self.dataset.images[0].nbytes
        return min(n, max(2, BLOCK_BYTES // a_pass))

    @cached_property
    def _place(self) -> NamedSharding:
        return NamedSharding(self.layout.mesh, self.layout.of_examples)

    @property
    def _shares(self) -> int:
        """In how many the seeds are divided."""
        return self.layout.mesh.size if self.layout.axis == "seeds" else 1


class Ahead:
    """Makes one thing in a thread while the one before it is in use."""

    def __init__(self) -> None:
        self._beside = ThreadPoolExecutor(1, "reading")
        self._made: dict[Any, Future[Any]] = {}

    def get(self, key: Any, make: Callable[[], T], following: tuple[Any, Callable[[], T]] | None = None) -> T:
        """What `make` makes, or has made already; then the `following` is begun, by its key."""
        found = self._made.pop(key, None)
        made: T = found.result() if found else make()
        self._made = {}
        if following:
            self._made[following[0]] = self._beside.submit(following[1])
        return made

    def each(self, makes: list[Callable[[], T]]) -> Iterator[T]:
        """What all of `makes` make, in their order."""
        for i, make in enumerate(makes):
            yield self.get(i, make, (i + 1, makes[i + 1]) if i + 1 < len(makes) else None)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is being made."""
        self._beside.shutdown(cancel_futures=True)
