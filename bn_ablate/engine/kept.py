"""Weights that are kept of a shard's lanes: fetched from the devices where they are measured, held on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from bn_ablate.config.names import Kept
from bn_ablate.engine.train import TrainState

_NAME = "kept"


class Weights(NamedTuple):
    """What lanes computed with at a moment.

    Attributes:
        steps: (seeds, cells), how many training steps each lane had done by then.
        params, batch_stats: their parameters and moving statistics, leaves with leading axes (seeds, cells).
    """

    steps: Int[np.ndarray, "seeds cells"]
    params: Any
    batch_stats: Any


class Keeping:
    """What is kept of a shard in training; changes nothing of what is trained or measured.

    Attributes:
        weights: by what they are kept for: `final`, `best`, `averaged`, or the number of a step.
    """

    def __init__(self, asked: tuple[Kept, ...], last: int) -> None:
        """`asked` is what the study says; `last`, how many steps the lanes are trained for."""
        self.weights: dict[str, Weights] = {}
        self._asked = asked
        self._last = last
        self._lowest: Float[np.ndarray, "seeds cells"] | None = None

    def look(
        self,
        step: int,
        validation_loss: Float[np.ndarray, "seeds cells"],
        states: TrainState,
        whole: tuple[slice, slice],
        of_average: Any = None,
    ) -> None:
        """Keep what is asked for of lanes that are measured after `step` steps; `whole` leaves out what fills up.

        `of_average` are the statistics that averaged weights were evaluated with, if they were.
        """

        def here(params: Any, batch_stats: Any) -> Weights:
            fetched = jax.tree.map(lambda leaf: np.array(np.asarray(leaf)[whole]), (params, batch_stats))
            return Weights(np.full(loss.shape, step), *fetched)

        loss = np.where(np.isfinite(validation_loss), validation_loss, np.inf)
        lowest, at_end = self._lowest, step == self._last
        better = np.ones(loss.shape, bool) if lowest is None else loss < lowest
        names = ["final"] * (at_end and "final" in self._asked) + [str(step)] * ("measured" in self._asked)
        improves = "best" in self._asked and bool(better.any())
        if names or improves:
            now = here(states.params, states.batch_stats)
            self.weights |= dict.fromkeys(names, now)
        if improves:
            self.weights["best"] = now if lowest is None else jax.tree.map(better_of(better), now, self.weights["best"])
            self._lowest = loss if lowest is None else np.minimum(loss, lowest)
        if at_end and "averaged" in self._asked and of_average is not None:
            self.weights["averaged"] = here(states.average, of_average)

    def pack(self) -> dict[str, np.ndarray]:
        """What is kept so far as arrays by name, for a checkpoint."""
        leaves = {
            f"{_NAME}_{name}_{i}": leaf
            for name, weights in self.weights.items()
            for i, leaf in enumerate(jax.tree.leaves(weights))
        }
        return leaves if self._lowest is None else leaves | {_NAME: self._lowest}

    def unpack(self, arrays: dict[str, np.ndarray], states: TrainState) -> None:
        """Take up again what `pack` gave; `states` are of the program that the arrays are of."""
        likeness, tree = jax.tree.flatten(Weights(np.zeros(()), states.params, states.batch_stats))
        names = {name.split("_")[1] for name in arrays if name.startswith(f"{_NAME}_")}
        for name in names:
            leaves = [arrays[f"{_NAME}_{name}_{i}"] for i in range(len(likeness))]
            self.weights[name] = jax.tree.unflatten(tree, leaves)
        self._lowest = arrays.get(_NAME)


def better_of(better: np.ndarray) -> Any:
    """A function of two leaves with axes (seeds, cells, …): of each lane the first leaf where it is `better`."""

    def choose(new: np.ndarray, old: np.ndarray) -> np.ndarray:
        return np.where(better.reshape(better.shape + (1,) * (new.ndim - 2)), new, old)

    return choose
