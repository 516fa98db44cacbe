"""The whole training in one jitted `lax.scan`, rate and seed traced; a program per placement and activation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from benching.cases import Case, Lane, Structure
from benching.peers.flax_models import Arrays, Network
from benching.protocol import Peer, Ready, Timed, share, steps_within

Train = Callable[..., tuple[Any, jax.Array]]


def make_train(case: Case, structure: Structure) -> Train:
    """`train(rate, seed, x, y, positions)`: final parameters, and the loss of every batch."""
    model = Network(tuple(case.layers), structure, case.bn_momentum)
    tx = optax.sgd(case.learning_rate, case.momentum)

    def train(
        rate: jax.Array, seed: jax.Array, x: jax.Array, y: jax.Array, positions: jax.Array
    ) -> tuple[Any, jax.Array]:
        key = jax.random.key(seed)
        variables = model.init(key, x[:1], rate, train=False)
        params, batch_stats = variables["params"], variables.get("batch_stats", {})

        def step(carry: Any, batch: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
            params, batch_stats, opt_state = carry
            at, number = batch

            def loss_fn(params: Any) -> tuple[jax.Array, Any]:
                logits, changed = model.apply(
                    {"params": params, "batch_stats": batch_stats},
                    x[at],
                    rate,
                    train=True,
                    mutable=["batch_stats"],
                    rngs={"dropout": jax.random.fold_in(key, number)},
                )
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[at]).mean(), changed

            (loss, changed), gradients = jax.value_and_grad(loss_fn, has_aux=True)(params)
            updates, opt_state = tx.update(gradients, opt_state)
            return (optax.apply_updates(params, updates), changed.get("batch_stats", {}), opt_state), loss

        carry: Any = (params, batch_stats, tx.init(params))
        (params, *_), losses = lax.scan(step, carry, (positions, jnp.arange(len(positions))))
        return params, losses

    return train


class JaxScan(Peer):
    """One lane after another, each in one call; a `vmap` over the lanes of a structure runs no faster on CPU."""

    def __init__(self, case: Case, arrays: Arrays, round_seconds: float) -> None:
        self._case = case
        self._arrays = (arrays.x, arrays.y, arrays.positions)
        self._round_seconds = round_seconds
        self._programs: dict[Structure, Train] = {}
        self._lanes = [lane for structure in case.structures for lane in case.lanes_of(structure)]

    def set_up(self) -> Ready:
        """Compile the training of every structure, and settle how many lanes of each a round trains."""
        case = self._case
        begun = time.perf_counter()
        for structure in case.structures:
            train = jax.jit(make_train(case, structure))
            self._programs[structure] = train.lower(jnp.float32(0), jnp.int32(0), *self._arrays).compile()
        compile_seconds = time.perf_counter() - begun
        self._train(case.sample()[:1])
        trial = self._train(case.sample())
        rounds = steps_within(self._round_seconds, trial.seconds, len(self._lanes) // len(case.structures))
        by_structure = [case.lanes_of(structure)[:rounds] for structure in case.structures]
        self._lanes = [lane for lanes in by_structure for lane in lanes]
        return Ready(
            timed=share(len(self._lanes), case.n_lanes, case.steps, case.steps),
            compile_seconds=compile_seconds,
            programs=len(self._programs),
            programs_of_case=len(self._programs),
        )

    def round(self) -> Timed:
        """Train some lanes of each structure."""
        return self._train(self._lanes)

    def check(self) -> float:
        """See `Peer`."""
        return float(np.mean([self._losses(lane) for lane in self._case.sample()]))

    def _train(self, lanes: list[Lane]) -> Timed:
        begun = time.perf_counter()
        jax.block_until_ready([self._losses(lane) for lane in lanes])
        return Timed(len(lanes) * self._case.steps, time.perf_counter() - begun)

    def _losses(self, lane: Lane) -> jax.Array:
        return self._programs[lane.structure](jnp.float32(lane.rate), jnp.int32(lane.seed), *self._arrays)[1]


def make(case: Case, examples: str, *, round_seconds: float, platform: str) -> JaxScan:
    """See `benching.serve`."""
    jax.config.update("jax_platforms", platform)
    return JaxScan(case, Arrays(examples), round_seconds)
