"""Many lanes in one program: seeds outside, the cells of a seed inside, one function for the lot."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Bool, Int

from bn_ablate.engine.averaging import first_average
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.observe import Observation, observe
from bn_ablate.engine.program import Program, at_precision
from bn_ablate.engine.randomness import dropout_bits, norm_noise
from bn_ablate.engine.train import Batch, TrainState, augmented, init_state, train_step
from bn_ablate.nn import Factors
from bn_ablate.nn.parameters import with_initial_affine

Strategy = Literal["vmap", "map"]


class Segment(NamedTuple):
    """A stretch of training between two returns to the host.

    Attributes:
        positions: for each seed and step, the training examples of its batch, as positions in the seed's training
            split; room for as many steps as a segment may have, and one more where lanes see the batch after.
        start: the step it begins with.
        n_steps: how many of the steps are taken.
        measured: whether the lanes were measured just before, from where on batch losses are added up anew.
    """

    positions: Int[Array, "seeds room batch"]
    start: Int[Array, ""]
    n_steps: Int[Array, ""]
    measured: Bool[Array, ""]


def each(strategy: Strategy, function: Callable[..., Any], at_once: int = 1) -> Callable[..., Any]:
    """`function` over the leading axis of its arguments: all at once (`vmap`), or `at_once` at a time (`map`).

    For `map`, the axis must be a multiple of `at_once`: JAX would compile the remainder again.
    """
    if strategy == "vmap":
        return jax.vmap(function)
    return lambda *args: lax.map(lambda some: function(*some), args, batch_size=at_once if at_once > 1 else None)


@at_precision
def train_lanes(
    program: Program,
    strategy: Strategy,
    at_once: int,
    examples: Examples,
    seeds: SeedExamples,
    factors: Factors,
    states: TrainState,
    segment: Segment,
) -> TrainState:
    """Train every lane, cells × seeds, through a segment.

    For each seed the batches and the random bits of the whole segment are made once; then every cell goes through all
    of its steps with them. So the cells of a seed differ in nothing but their factors, and, lane by lane, the
    parameters of the lane at work stay in the processor's cache from step to step.

    Args:
        at_once: lanes of a seed that go through a step together, for `map`.
        examples: the data set.
        seeds: leading axis (seeds).
        factors: leading axis (cells).
        states: leading axes (seeds, cells).
        segment: what to do; its scalars are shared by all lanes.
    """

    def one_seed(seed: SeedExamples, positions: Array, states: TrainState) -> TrainState:
        x, y = examples.take(jnp.take(seed.train, positions, mode="clip"), seed)
        x = augmented(program, seed.seed, segment.start + jnp.arange(len(positions)), x)
        noise = None
        if program.drops:
            shapes = program.noise_shapes
            empty = tuple(jnp.zeros((positions.shape[0], *shape), jnp.uint16) for shape in shapes)

            def draw(i: Array, noise: tuple[Array, ...]) -> tuple[Array, ...]:
                drawn = dropout_bits(seed.seed, segment.start + i, shapes)
                return tuple(block.at[i].set(bits) for block, bits in zip(noise, drawn, strict=True))

            noise = lax.fori_loop(0, segment.n_steps, draw, empty)
        normals = None
        if program.noisy_channels:
            empty_normals = {n: jnp.zeros((len(x), 2, x.shape[1], c)) for n, c in program.noisy_channels}

            def draw_normals(i: Array, normals: dict[str, Array]) -> dict[str, Array]:
                drawn = norm_noise(seed.seed, segment.start + i, program.noisy_channels, x.shape[1])
                return {name: normals[name].at[i].set(drawn[name]) for name in normals}

            normals = lax.fori_loop(0, segment.n_steps, draw_normals, empty_normals)
        others = None
        if program.structure.others:  # the batch after, of which there is one more
            x, y, others = x[:-1], y[:-1], x[1:]
        batches = Batch(x, y, noise, normals, others)
        return each(strategy, partial(one_lane, batches), at_once)(factors, states)  # type: ignore[no-any-return]

    def one_lane(batches: Batch, factors: Factors, state: TrainState) -> TrainState:
        state = state._replace(loss_sum=jnp.where(segment.measured, 0.0, state.loss_sum))
        return advance(program, segment.n_steps, batches, factors, state)

    return each(strategy, one_seed)(seeds, segment.positions, states)  # type: ignore[no-any-return]


@at_precision
def measure_lanes(
    program: Program,
    strategy: Strategy,
    at_once: int,
    examples: Examples,
    seeds: SeedExamples,
    factors: Factors,
    states: TrainState,
    thorough: Bool[Array, ""],
) -> Observation:
    """Measure every lane, cells × seeds, as it stands; arguments as of `train_lanes`, and of `observe`."""

    def one_seed(seed: SeedExamples, states: TrainState) -> Observation:
        def one_lane(factors: Factors, state: TrainState) -> Observation:
            return observe(program, factors, state, examples, seed, thorough)

        return each(strategy, one_lane, at_once)(factors, states)  # type: ignore[no-any-return]

    return each(strategy, one_seed)(seeds, states)  # type: ignore[no-any-return]


def advance(
    program: Program, n_steps: int | Int[Array, ""], batches: Batch, factors: Factors, state: TrainState
) -> TrainState:
    """One lane, `n_steps` steps further; the leaves of `batches` have a leading axis of steps."""

    def step(i: Array, state: TrainState) -> TrainState:
        batch = jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, i, keepdims=False), batches)
        return train_step(program, factors, state, batch)

    return lax.fori_loop(0, n_steps, step, state)  # type: ignore[no-any-return]


class Layout(NamedTuple):
    """How lanes are divided over devices.

    Attributes:
        mesh: of one axis, `lanes`.
        axis: what is divided.
        seeds, cells: how many there are with those that fill up the last device's share.
        at_once: lanes of a seed that go through a step together on a device, for `map`.
    """

    mesh: Mesh
    axis: Literal["seeds", "cells"]
    seeds: int
    cells: int
    at_once: int = 1

    @property
    def specs(self) -> tuple[PartitionSpec, PartitionSpec, PartitionSpec]:
        """Of what has a leading axis of seeds, of cells, and of both."""
        divided, whole = PartitionSpec("lanes"), PartitionSpec()
        return (divided, whole, divided) if self.axis == "seeds" else (whole, divided, PartitionSpec(None, "lanes"))


def initial_on_mesh(program: Program, layout: Layout) -> Callable[[Examples, SeedExamples, Factors, Array], TrainState]:
    """The states of all lanes before training, leading axes (seeds, cells), each on the device that is to train it.

    Takes the examples, the seeds, the factors, and for each seed the positions of its first batch.
    """

    def all_lanes(examples: Examples, seeds: SeedExamples, factors: Factors, first: Array) -> TrainState:
        def fitted(given: tuple[SeedExamples, Array]) -> TrainState:  # one by one, for the same bits beside any others
            seed, positions = given
            x, _ = examples.take(jnp.take(seed.train, positions, mode="clip"), seed)
            x = augmented(program, seed.seed, jnp.zeros(1, jnp.int32), x[None])[0]
            return lax.map(lambda lane: init_state(program, seed.seed, lane, x), factors)  # type: ignore[no-any-return]

        def one_seed(seed: SeedExamples) -> TrainState:
            state = init_state(program, seed.seed)
            starts = partial(with_initial_affine, state.params, residuals=program.residuals)

            def start(lane: Factors) -> TrainState:
                params = starts(lane)
                return state._replace(params=params, average=first_average(program.train, params))

            return jax.vmap(start)(factors)

        return lax.map(fitted, (seeds, first)) if program.fits else jax.vmap(one_seed)(seeds)

    seeds, cells, lanes = layout.specs
    given = (PartitionSpec(), seeds, cells, seeds)
    return jax.shard_map(all_lanes, mesh=layout.mesh, in_specs=given, out_specs=lanes, check_vma=False)


def training_on_mesh(
    program: Program, strategy: Strategy, layout: Layout
) -> Callable[[Examples, SeedExamples, Factors, TrainState, Segment], TrainState]:
    """`train_lanes` with its seeds, or its cells, divided over devices."""
    seeds, cells, lanes = layout.specs
    segment = Segment(seeds, *[PartitionSpec()] * 3)  # type: ignore[arg-type]
    function = partial(train_lanes, program, strategy, layout.at_once)
    given = (PartitionSpec(), seeds, cells, lanes, segment)
    return jax.shard_map(function, mesh=layout.mesh, in_specs=given, out_specs=lanes, check_vma=False)


def measuring_on_mesh(
    program: Program, strategy: Strategy, layout: Layout
) -> Callable[[Examples, SeedExamples, Factors, TrainState, Array], Observation]:
    """`measure_lanes` with its seeds, or its cells, divided over devices."""
    seeds, cells, lanes = layout.specs
    function = partial(measure_lanes, program, strategy, layout.at_once)
    given = (PartitionSpec(), seeds, cells, lanes, PartitionSpec())
    return jax.shard_map(function, mesh=layout.mesh, in_specs=given, out_specs=lanes, check_vma=False)
