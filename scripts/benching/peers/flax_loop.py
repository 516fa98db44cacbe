"""Flax as its examples use it: a `TrainState`, a jitted step, a Python loop; compiled anew for every configuration."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.training import train_state

from benching.cases import Case, Lane
from benching.peers.flax_models import Arrays, Network
from benching.protocol import Peer, Ready, Timed, share, steps_within


class TrainState(train_state.TrainState):
    """Flax's, with moving statistics and the key that dropout keys are made of."""

    batch_stats: Any
    key: jax.Array


Step = Callable[[TrainState, jax.Array, jax.Array], tuple[TrainState, jax.Array]]


def make_step(rate: float) -> Step:
    """One jitted training step at a static dropout rate."""

    def step(state: TrainState, x: jax.Array, y: jax.Array) -> tuple[TrainState, jax.Array]:
        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            logits, changed = state.apply_fn(
                {"params": params, "batch_stats": state.batch_stats},
                x,
                rate,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.fold_in(state.key, state.step)},
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), changed

        (loss, changed), gradients = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        state = state.apply_gradients(  # type: ignore[no-untyped-call]
            grads=gradients, batch_stats=changed.get("batch_stats", {})
        )
        return state, loss

    return jax.jit(step, donate_argnums=0)


class FlaxLoop(Peer):
    """One lane after another, one compiled step for each of them."""

    def __init__(self, case: Case, arrays: Arrays, round_seconds: float) -> None:
        self._case = case
        self._round_seconds = round_seconds
        self._batches = [(arrays.x[at], arrays.y[at]) for at in arrays.positions]
        self._steps: dict[Lane, Step] = {}
        self._initial: dict[Lane, TrainState] = {}
        self._n_steps = case.steps

    def set_up(self) -> Ready:
        """Compile the configurations, all of them or those of the sample, by taking their first step."""
        case = self._case
        lanes = case.sample()
        if case.whole:
            lanes += [
                lane for s in case.structures for lane in case.lanes_of(s) if lane.seed == 0 and lane not in lanes
            ]
        begun = time.perf_counter()
        for lane in lanes:
            self._steps[lane], self._initial[lane] = make_step(lane.rate), self._make_state(lane)
            jax.block_until_ready(self._steps[lane](self._fresh(lane), *self._batches[0]))
        compile_seconds = time.perf_counter() - begun
        trial = self._train(2)
        self._n_steps = steps_within(self._round_seconds, trial.seconds / 2, case.steps)
        return Ready(
            timed=share(len(case.sample()), case.n_lanes, self._n_steps, case.steps),
            compile_seconds=compile_seconds,
            programs=len(lanes),
            programs_of_case=case.n_configurations,
        )

    def round(self) -> Timed:
        """Train the sample."""
        return self._train(self._n_steps)

    def check(self) -> float:
        """See `Peer`."""
        total = 0.0
        for lane in self._case.sample():
            state = self._fresh(lane)
            for x, y in self._batches:
                state, loss = self._steps[lane](state, x, y)
                total += float(loss)
        return total / len(self._case.sample()) / len(self._batches)

    def _train(self, n_steps: int) -> Timed:
        lanes = self._case.sample()
        states = [self._fresh(lane) for lane in lanes]
        begun = time.perf_counter()
        for lane, initial in zip(lanes, states, strict=True):
            step, state = self._steps[lane], initial
            for x, y in self._batches[:n_steps]:
                state, _ = step(state, x, y)
            jax.block_until_ready(state)
        return Timed(len(lanes) * n_steps, time.perf_counter() - begun)

    def _fresh(self, lane: Lane) -> TrainState:
        """A copy of the initial state, for the step to consume."""
        return jax.tree.map(jnp.copy, self._initial[lane])  # type: ignore[no-any-return]

    def _make_state(self, lane: Lane) -> TrainState:
        model = Network(tuple(self._case.layers), lane.structure, self._case.bn_momentum)
        key = jax.random.key(lane.seed)
        variables = model.init(key, self._batches[0][0][:1], lane.rate, train=False)
        state: TrainState = TrainState.create(  # type: ignore[no-untyped-call]
            apply_fn=model.apply,
            params=variables["params"],
            tx=optax.sgd(self._case.learning_rate, self._case.momentum),
            batch_stats=variables.get("batch_stats", {}),
            key=key,
        )
        return state


def make(case: Case, examples: str, *, round_seconds: float, platform: str) -> FlaxLoop:
    """See `benching.serve`."""
    jax.config.update("jax_platforms", platform)
    return FlaxLoop(case, Arrays(examples), round_seconds)
