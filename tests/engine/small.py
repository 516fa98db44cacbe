"""Small networks, one training step at a time, for tests of what each factor changes."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import bn_ablate as bn
from bn_ablate.config import LaneSettings
from bn_ablate.config.factors import FACTORS
from bn_ablate.engine.lanewise import Strategy, each_lane
from bn_ablate.engine.optimizers import make_tx
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.train import Batch, TrainState, init_state, train_step
from bn_ablate.nn import Factors, lane_factors, stack_factors
from bn_ablate.plan import Cell, make_plan
from tests.config.levels import LEVELS

BATCH, IMAGE, CLASSES = 8, (4, 4, 1), 3
BASE = LaneSettings().at({"depth": 3, "width": 4, "activation": "tanh", "batch_size": BATCH, "norm_groups": 2})


def lay_out(axes: dict[str, list[Any]], **sections: Any) -> tuple[tuple[Cell, ...], Program, Factors]:
    """The cells of a grid of traced factors, their program, and their factors, stacked."""
    table: dict[str, Any] = {"name": "small", **BASE.model_dump(mode="json", exclude={"own"})}
    for name, section in sections.items():
        table[name] = table[name] | section
    cells = make_plan(bn.build_study(table | {"axes": axes})).cells
    settings = [cell.settings for cell in cells]
    program = program_of(settings, IMAGE, CLASSES)
    return cells, program, stack_factors(settings, program.structure)


def random_lanes(n: int, base: dict[str, Any], **levels: tuple[Any, ...]) -> list[LaneSettings]:
    """`n` lanes at random levels of all traced factors, among which every level of every factor is."""
    draw = random.Random(0)
    traced = {name: LEVELS[name] for name, factor in FACTORS.items() if factor.traced}
    traced |= {"coverage": (*LEVELS["coverage"], "last", "every_other")} | levels
    start = BASE.at(base)
    lanes = [allowed(start.at({name: draw.choice(some) for name, some in traced.items()})) for _ in range(n)]
    for name, some in traced.items():
        section, field = FACTORS[name].path.split(".")
        assert {getattr(getattr(settings, section), field) for settings in lanes} == set(some), name
    return lanes


def allowed(lane: LaneSettings) -> LaneSettings:
    """`lane`, with its normalizers from the start to the end where they cannot come or go."""
    refused = any(problem.key in ("norm.since", "norm.until") for problem in lane.problems())
    return lane.at({"norm_since": 0, "norm_until": 0}) if refused else lane


def batches(program: Program, n: int) -> list[Batch]:
    """`n` batches of random images, labels and bits, the bits alike in every program that has them."""
    made: list[Batch] = []
    for step in reversed(range(n + 1)):
        draw = np.random.default_rng(step)
        x, y = draw.normal(size=(BATCH, *IMAGE)).astype(np.float32), draw.integers(CLASSES, size=BATCH)
        bits = tuple(jnp.asarray(draw.integers(0, 65536, shape), jnp.uint16) for shape in program.noise_shapes)
        noises = {
            key: {name: draw.normal(size=(2, BATCH, c)).astype(np.float32) for name, c in program.channels}
            for key in program.noises
        }
        other = made[-1].x if made and program.structure.others else None
        made.append(
            Batch(jnp.asarray(x), jnp.asarray(y, jnp.int32), bits if program.drops else None, noises or None, other)
        )
    return made[:0:-1]


def silence(program: Program) -> tuple[np.ndarray, ...]:
    """Random bits for a program that needs none: all zero."""
    return tuple(np.zeros(shape, np.uint16) for shape in program.noise_shapes)


def train(
    program: Program, factors: Factors, steps: int = 3, strategy: Strategy = "vmap"
) -> tuple[TrainState, TrainState]:
    """The states of all lanes before and after some steps, in NumPy."""
    given = stacked(batches(program, steps))
    return jax.tree.map(np.asarray, jax.jit(partial(trained, program, strategy))(factors, given))  # type: ignore[no-any-return]


def trained(program: Program, strategy: Strategy, factors: Factors, given: Batch) -> tuple[TrainState, TrainState]:
    """The same for batches with a leading axis of steps, to be traced as a part of a program."""
    start = jax.vmap(lambda lane: init_state(program, 0, lane))(factors)

    def one_lane(batches: Batch, lane: Factors, _: None, state: TrainState) -> tuple[TrainState, None]:
        return jax.lax.scan(lambda state, batch: (train_step(program, lane, state, batch), None), state, batches)

    one_seed = jax.tree.map(lambda leaf: leaf[None], (given, start))
    end, _ = each_lane(strategy, 1, lambda batches: batches, one_lane, one_seed[:1], factors, None, one_seed[1])
    return start, jax.tree.map(lambda leaf: leaf[0], end)


def stacked(some: list[Batch]) -> Batch:
    """Batches with a leading axis of steps."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *some)  # type: ignore[no-any-return]


def optimized(settings: LaneSettings, steps: int = 3) -> np.ndarray:
    """A kernel and a bias as these settings' optimizer moves them along the same gradients, without a network."""
    program = program_of([settings], IMAGE, CLASSES)
    factors = lane_factors(settings, program.structure)
    draw = np.random.default_rng(0)
    gradients = {name: draw.normal(size=(steps, 3)).astype(np.float32) for name in ("kernel", "bias")}

    @jax.jit
    def end(lane: Factors) -> Any:
        tx, start = make_tx(program, lane), {name: np.ones(3, np.float32) for name in gradients}

        def step(carry: Any, gradient: Any) -> tuple[Any, None]:
            updates, state = tx.update(gradient, carry[1], carry[0])
            return (optax.apply_updates(carry[0], updates), state), None

        given = {name: some[: program.train.steps] for name, some in gradients.items()}
        return jax.lax.scan(step, (start, tx.init(start)), given)[0][0]

    return np.concatenate([*end(factors).values()])


def lane(tree: Any, i: int) -> dict[str, np.ndarray]:
    """The leaves of lane `i`, by path."""
    return {path: leaf[i] for path, leaf in leaves(tree).items()}


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a tree, by path."""
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}
