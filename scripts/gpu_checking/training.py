"""Training steps of many lanes as the engine runs them, without its measurements: less to compile, the same steps."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bn_ablate.config import LaneSettings
from bn_ablate.engine.compiling import compiler_options, hastily
from bn_ablate.engine.lanewise import Strategy, each_lane
from bn_ablate.engine.many_lanes import advance
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.randomness import dropout_bits
from bn_ablate.engine.train import Batch, TrainState, init_state
from bn_ablate.nn import Factors, stack_factors

CLASSES = 10
Step = Callable[..., TrainState]


class Arrays(NamedTuple):
    """What a call is given besides the states: seeds outside, the cells of a seed inside."""

    seeds: Any
    factors: Factors
    x: Any
    y: Any


@dataclass(frozen=True)
class Grid:
    """Lanes that are ready to train: cells × seeds, on the host.

    Attributes:
        program: their static part.
        arrays: seeds (seeds,); factors (cells,); images (seeds, room, batch, h, w, c) and labels.
        states: (seeds, cells).
    """

    program: Program
    arrays: Arrays
    states: TrainState

    @property
    def lanes(self) -> int:
        """How many."""
        return int(np.prod(self.states.step.shape))

    @property
    def room(self) -> int:
        """The steps for which there are batches."""
        return int(self.arrays.x.shape[1])

    def at(self, precision: str) -> Grid:
        """The same lanes, trained at another precision."""
        train = self.program.train.model_copy(update={"precision": precision})
        return replace(self, program=replace(self.program, train=train))


def make_grid(
    settings: list[LaneSettings],
    image: tuple[int, ...],
    *,
    cells: int,
    seeds: int,
    room: int,
    platform: str,
) -> Grid:
    """The first `cells` of `settings`, again and again if they are more, for the program of all; random images."""
    program = program_of(settings, image, CLASSES, platform)
    chosen = list(itertools.islice(itertools.cycle(settings), cells))
    factors = stack_factors(chosen, program.structure)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((seeds, room, program.train.batch_size, *image), np.float32)
    y = rng.integers(0, CLASSES, (seeds, room, program.train.batch_size)).astype(np.int32)
    numbers = np.arange(seeds, dtype=np.int32)
    of_seeds = [initial(replace(program, native=True), min(int(seed), 1)) for seed in numbers]
    states = jax.tree.map(lambda *leaves: np.repeat(np.stack(leaves)[:, None], cells, 1), *of_seeds)
    return Grid(program, Arrays(numbers, jax.tree.map(np.asarray, factors), x, y), states)


@lru_cache
def initial(program: Program, seed: int) -> TrainState:
    """The state that every lane of a seed begins with, made on the CPU; seeds beyond 1 begin as 1 does."""
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.tree.map(np.asarray, _initial(program, np.int32(seed)))  # type: ignore[no-any-return]


_initial = jax.jit(init_state, static_argnums=0, compiler_options=hastily())


def segment(program: Program, strategy: Strategy, at_once: int = 1, steps: int | None = None) -> Step:
    """`run(arrays, states, n_steps)`; with `steps`, so many, known when it is compiled, whatever `n_steps` is."""

    def run(arrays: Arrays, states: TrainState, n_steps: Any) -> TrainState:
        count = n_steps if steps is None else steps

        def of_seed(seed: Any, x: Any, y: Any) -> Batch:
            noise = None
            if program.drops:
                shapes = program.noise_shapes
                empty = tuple(jnp.zeros((x.shape[0], *shape), jnp.uint16) for shape in shapes)

                def draw(i: Any, noise: tuple[Any, ...]) -> tuple[Any, ...]:
                    drawn = dropout_bits(seed, i, shapes)
                    return tuple(block.at[i].set(bits) for block, bits in zip(noise, drawn, strict=True))

                noise = lax.fori_loop(0, count, draw, empty)
            return Batch(x, y, noise)

        def one_lane(batches: Batch, factors: Factors, _: None, state: TrainState) -> tuple[TrainState, None]:
            return advance(program, count, batches, factors, state), None

        seeds = (arrays.seeds, arrays.x, arrays.y)
        trained: TrainState = each_lane(strategy, at_once, of_seed, one_lane, seeds, arrays.factors, None, states)[0]
        return trained

    return run


@dataclass
class Job:
    """A program to be compiled, and what to call it with.

    Attributes:
        grid: the lanes.
        step: the function, see `segment`.
        device: where it runs; the first one when not given.
        options: of the compiler, besides those that the engine gives it.
        compiled: once it is; or the error.
        compile_seconds: of XLA, while others may have been compiled at the same time.
    """

    grid: Grid
    step: Step
    device: Any = None
    options: dict[str, bool] = field(default_factory=dict)
    compiled: Any = None
    compile_seconds: float = 0.0

    def lower(self) -> Any:
        """Trace."""
        self.device = self.device or jax.devices()[0]
        there = jax.sharding.SingleDeviceSharding(self.device)
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there),
            (self.grid.arrays, self.grid.states),
        )
        with jax.default_matmul_precision(self.grid.program.matmul_precision):
            options = compiler_options(self.device) | self.options
            return jax.jit(self.step, donate_argnums=1, compiler_options=options).lower(*shapes, np.int32(1))

    def compile(self, lowered: Any) -> None:
        """Compile what `lower` gave."""
        begun = time.perf_counter()
        try:
            self.compiled = lowered.compile()
        except Exception as error:
            self.compiled = error
        self.compile_seconds = time.perf_counter() - begun

    def run(self, n_steps: int, arrays: Arrays | None = None, states: TrainState | None = None) -> TrainState:
        """The states after so many steps, from the first on."""
        if isinstance(self.compiled, Exception):
            raise self.compiled
        arrays = jax.device_put(self.grid.arrays, self.device) if arrays is None else arrays
        states = jax.device_put(self.grid.states, self.device) if states is None else states
        after: TrainState = jax.block_until_ready(self.compiled(arrays, states, np.int32(n_steps)))
        return after

    def rate(self, seconds: float = 1.5) -> dict[str, Any]:
        """Milliseconds of a step of all lanes, and lane-steps a second: the median of calls that fill `seconds`."""
        arrays = jax.device_put(self.grid.arrays, self.device)
        states = self.run(1, arrays)  # also warms up
        n_steps, taken = 1, 0.0
        while n_steps < self.grid.room and taken < 0.2:
            n_steps = min(self.grid.room, 4 * n_steps)
            begun = time.perf_counter()
            states = self.run(n_steps, arrays, states)
            taken = time.perf_counter() - begun
        rounds: list[float] = []
        end = time.perf_counter() + seconds
        while len(rounds) < 3 or (time.perf_counter() < end and len(rounds) < 50):
            begun = time.perf_counter()
            states = self.run(n_steps, arrays, states)
            rounds.append((time.perf_counter() - begun) / n_steps)
            if len(rounds) == 1 and rounds[0] * n_steps > 2 * seconds:
                break
        a_step = statistics.median(rounds)
        memory = self.compiled.memory_analysis()
        return {
            "lanes": self.grid.lanes,
            "steps_in_a_call": n_steps,
            "calls": len(rounds),
            "step_ms": 1e3 * a_step,
            "lane_steps_per_second": self.grid.lanes / a_step,
            "compile_seconds": self.compile_seconds,
            "temp_bytes": getattr(memory, "temp_size_in_bytes", None),
            "finite": bool(np.all(np.asarray(states.diverged_at) < 0)),
        }


def compile_all(jobs: dict[str, Job], threads: int = 8) -> float:
    """Trace the jobs one after another and compile them side by side; the seconds of both.

    A job that cannot be traced or compiled keeps its error.
    """
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for job in jobs.values():
            try:
                pool.submit(job.compile, job.lower())
            except Exception as error:
                job.compiled = error
    return time.perf_counter() - begun
