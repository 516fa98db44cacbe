"""What one lane costs by itself: the operations that XLA counts, and seconds on this machine's device."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bn_ablate.engine.execute import Engine
from bn_ablate.engine.measuring import look_over
from bn_ablate.engine.program import Program, at_precision
from bn_ablate.engine.train import Batch, init_state, train_step
from bn_ablate.nn import Factors
from bn_ablate.plan import Cell

SECONDS = 0.2
"""How long what is timed lasts at least: steps, or evaluations, in a row."""


class Operations(NamedTuple):
    """Floating-point operations for one example, as XLA counts them.

    Attributes:
        step: in a training step: forward, backward, and the example's share of the update.
        evaluation: forward alone.
    """

    step: float
    evaluation: float


def operations(program: Program, lane: Factors) -> Operations:
    """Count the operations of a training step and of an evaluation, divided by the examples of a batch.

    They are those of the computation as it is written, before XLA rewrites it: the same on every device, with each
    convolution as one. What is compiled has others in their place, of which XLA counts loops once, and calls into
    libraries not at all. Roots and exponentials are counted apart by XLA, and are not among them.
    """
    written, batch = replace(program, native=True), program.train.batch_size
    state = jax.eval_shape(partial(init_state, written, 0), lane)
    x = jax.ShapeDtypeStruct((batch, *program.image_shape), jnp.float32)
    noise = [jax.ShapeDtypeStruct(shape, jnp.uint16) for shape in program.noise_shapes] if program.drops else None
    drawn = {name: jax.ShapeDtypeStruct((2, batch, n), jnp.float32) for name, n in program.channels}
    noises = dict.fromkeys(program.noises, drawn)
    labels, other = jax.ShapeDtypeStruct((batch,), jnp.int32), x if program.structure.others else None
    given = Batch(x, labels, noise and tuple(noise), noises or None, other)  # type: ignore[arg-type]

    @at_precision
    def forward(program: Program, params: Any, batch_stats: Any, x: Any, lane: Factors) -> Any:
        return program.network.apply({"params": params, "batch_stats": batch_stats}, x, lane, train=False)

    def count(function: Callable[..., Any], *args: Any) -> float:
        counted = jax.jit(partial(function, written)).lower(*args).cost_analysis()
        return float(counted["flops"]) / batch if counted else math.nan

    return Operations(count(train_step, lane, state, given), count(forward, state.params, state.batch_stats, x, lane))


class Alone:
    """One lane, trained and evaluated by itself as often as it takes to time it, from its initial state each time.

    Attributes:
        operations: of an example.
        examples: how many an evaluation takes: those of train, validation and test.
    """

    def __init__(self, engine: Engine, cell: Cell, seed: int) -> None:
        """Its programs begin to be compiled.

        Raises:
            DataError: the data set cannot be divided as the settings say.
        """
        self._wanted = wanted = engine.alone(cell, seed)
        self._begin, self._train = wanted.begin(), wanted.train()
        self._scores = wanted.look("scores")
        self._steps = wanted.segment.indices.shape[1] - wanted.program.structure.others
        self._calls = self._evaluations = 1
        self.operations = operations(wanted.program, jax.tree.map(lambda leaf: leaf[0], wanted.factors))
        self.examples = sum(part.shape[-1] for part in wanted.split)

    def warm_up(self) -> None:
        """Wait for the programs, and find out how many steps and evaluations in a row are long enough."""
        self._states = self._initial()
        room, self._steps = self._steps, 1
        self.step_seconds()
        step = self.step_seconds()
        self._steps = max(1, min(room, math.ceil(SECONDS / step)))
        self._calls = max(1, round(SECONDS / (self._steps * step)))
        self.evaluation_seconds()
        self._evaluations = max(1, round(SECONDS / self.evaluation_seconds()))

    def step_seconds(self) -> float:
        """Seconds of a training step, on average over some in a row, with their batches and random bits."""
        wanted, states = self._wanted, self._initial()
        train, segment = self._train.result(), wanted.segment._replace(n_steps=np.int32(self._steps))  # type: ignore[arg-type]
        begun = time.perf_counter()
        for _ in range(self._calls):
            states = train(wanted.examples, wanted.seeds, wanted.factors, states, segment)
        jax.block_until_ready(states)
        return (time.perf_counter() - begun) / (self._calls * self._steps)

    def evaluation_seconds(self) -> float:
        """Seconds of an evaluation on all examples, on average over some in a row."""
        begun = time.perf_counter()
        for _ in range(self._evaluations):
            found = look_over(self._wanted, "scores", self._scores.result(), self._states)
        jax.block_until_ready(found)
        return (time.perf_counter() - begun) / self._evaluations

    def _initial(self) -> Any:
        wanted = self._wanted
        return jax.block_until_ready(self._begin.result()(wanted.examples, wanted.seeds, wanted.factors, wanted.first))
