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
from bn_ablate.engine.lanewise import Strategy, each_lane
from bn_ablate.engine.observe import Observation, observe
from bn_ablate.engine.passes import Chosen, Passes
from bn_ablate.engine.program import Program, at_precision
from bn_ablate.engine.randomness import NOISES, dropout_bits
from bn_ablate.engine.train import Batch, TrainState, augmented, init_state, train_step
from bn_ablate.engine.views import Look, look_through
from bn_ablate.engine.whole_splits import settled
from bn_ablate.nn import Factors
from bn_ablate.nn.parameters import with_initial_affine


class Segment(NamedTuple):
    """A stretch of training between two returns to the host.

    Attributes:
        indices: for each seed and step, where the training examples of its batch are among the examples that are given
            with it; room for as many steps as a segment may have, and one more where lanes see the batch after.
        start: the step it begins with.
        n_steps: how many of the steps are taken.
        measured: whether the lanes were measured just before, from where on batch losses are added up anew.
    """

    indices: Int[Array, "seeds room batch"]
    start: Int[Array, ""]
    n_steps: Int[Array, ""]
    measured: Bool[Array, ""]


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
        examples: the data set, or those of it that the segment has.
        seeds: leading axis (seeds).
        factors: leading axis (cells).
        states: leading axes (seeds, cells).
        segment: what to do; its scalars are shared by all lanes.
    """

    def of_seed(seed: SeedExamples, indices: Array) -> Batch:
        x, y = examples.take(indices, seed)
        x = augmented(program, seed.seed, segment.start + jnp.arange(len(indices)), x)
        noise = None
        if program.drops:
            shapes = program.noise_shapes
            empty = tuple(jnp.zeros((len(indices), *shape), jnp.uint16) for shape in shapes)

            def draw(i: Array, noise: tuple[Array, ...]) -> tuple[Array, ...]:
                drawn = dropout_bits(seed.seed, segment.start + i, shapes)
                return tuple(block.at[i].set(bits) for block, bits in zip(noise, drawn, strict=True))

            noise = lax.fori_loop(0, segment.n_steps, draw, empty)
        noises = None
        if program.noises:
            silent = {n: jnp.zeros((len(x), 2, x.shape[1], c)) for n, c in program.channels}

            def draw_noises(i: Array, noises: Any) -> Any:
                at = seed.seed, segment.start + i, program.channels, x.shape[1]
                drawn = {key: NOISES[key](*at) for key in program.noises}
                return jax.tree.map(lambda some, numbers: some.at[i].set(numbers), noises, drawn)

            noises = lax.fori_loop(0, segment.n_steps, draw_noises, dict.fromkeys(program.noises, silent))
        others = None
        if program.structure.others:  # the batch after, of which there is one more
            x, y, others = x[:-1], y[:-1], x[1:]
        return Batch(x, y, noise, noises, others)

    def one_lane(batches: Batch, factors: Factors, _: None, state: TrainState) -> tuple[TrainState, None]:
        state = state._replace(loss_sum=jnp.where(segment.measured, 0.0, state.loss_sum))
        return advance(program, segment.n_steps, batches, factors, state), None

    states, _ = each_lane(strategy, at_once, of_seed, one_lane, (seeds, segment.indices), factors, None, states)
    return states


class Block(NamedTuple):
    """Some passes over whole splits, of one call; `n` of them are taken."""

    passes: Passes
    n: Int[Array, ""]


@at_precision
def look_at_lanes(
    program: Program,
    look: Look,
    strategy: Strategy,
    at_once: int,
    examples: Examples,
    seeds: SeedExamples,
    factors: Factors,
    step: Int[Array, "seeds cells"],
    params: Any,
    batch_stats: Any,
    block: Block,
    so_far: Any,
) -> Any:
    """`look` at every lane, cells × seeds, in some passes: what was seen `so_far`, with what these passes have added.

    Args:
        look: a name in `views.LOOKS`.
        examples: the data set, or those of it that the block has.
        seeds: leading axis (seeds).
        factors: leading axis (cells).
        step, params, batch_stats, so_far: leading axes (seeds, cells).
    """

    def one_lane(shared: Any, factors: Factors, lane: Any, so_far: Any) -> tuple[Any, None]:
        (seed, passes), (step, params, batch_stats) = shared, lane
        found = look_through(program, look, examples, seed, passes, block.n, factors, step, params, batch_stats, so_far)
        return found, None

    lanes = (step, params, batch_stats)
    return each_lane(strategy, at_once, _as_given, one_lane, (seeds, block.passes), factors, lanes, so_far)[0]


def settle_lanes(program: Program, factors: Factors, batch_stats: Any, found: Any, mean: Array, var: Array) -> Any:
    """`settled` of every lane, cells × seeds."""

    def one_lane(factors: Factors, batch_stats: Any, found: Any) -> Any:
        return settled(program, factors, batch_stats, found, mean, var)

    return jax.vmap(partial(jax.vmap(one_lane), factors))(batch_stats, found)


@at_precision
def measure_lanes(
    program: Program,
    strategy: Strategy,
    at_once: int,
    examples: Examples,
    seeds: SeedExamples,
    factors: Factors,
    states: TrainState,
    chosen: Chosen,
    seen: dict[str, Any],
    thorough: Bool[Array, ""],
) -> Observation:
    """Measure every lane, cells × seeds, as it stands; arguments as of `train_lanes`, and of `observe`."""

    def one_lane(shared: Any, factors: Factors, lane: Any, _: None) -> tuple[None, Observation]:
        (seed, chosen), (state, seen) = shared, lane
        return None, observe(program, factors, state, examples, seed, chosen, seen, thorough)

    found = each_lane(strategy, at_once, _as_given, one_lane, (seeds, chosen), factors, (states, seen), None)
    return found[1]  # type: ignore[no-any-return]


def _as_given(*seed: Any) -> tuple[Any, ...]:
    return seed


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
        streamed: whether examples come in blocks, in which those of a seed lie together, seed by seed.
    """

    mesh: Mesh
    axis: Literal["seeds", "cells"]
    seeds: int
    cells: int
    at_once: int = 1
    streamed: bool = False

    @property
    def specs(self) -> tuple[PartitionSpec, PartitionSpec, PartitionSpec]:
        """Of what has a leading axis of seeds, of cells, and of both."""
        divided, whole = PartitionSpec("lanes"), PartitionSpec()
        return (divided, whole, divided) if self.axis == "seeds" else (whole, divided, PartitionSpec(None, "lanes"))

    @property
    def of_examples(self) -> PartitionSpec:
        """Of the examples: every device has all, or those of its own seeds."""
        return self.specs[0] if self.streamed else PartitionSpec()


def initial_on_mesh(program: Program, layout: Layout) -> Callable[[Examples, SeedExamples, Factors, Array], TrainState]:
    """The states of all lanes before training, leading axes (seeds, cells), each on the device that is to train it.

    Takes the examples, the seeds, the factors, and for each seed where the examples of its first batch are.
    """

    def all_lanes(examples: Examples, seeds: SeedExamples, factors: Factors, first: Array) -> TrainState:
        def fitted(given: tuple[SeedExamples, Array]) -> TrainState:  # one by one, for the same bits beside any others
            seed, indices = given
            x, _ = examples.take(indices, seed)
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

    seeds, cells, _ = layout.specs
    return _on_mesh(all_lanes, layout, (layout.of_examples, seeds, cells, seeds))


def training_on_mesh(
    program: Program, strategy: Strategy, layout: Layout
) -> Callable[[Examples, SeedExamples, Factors, TrainState, Segment], TrainState]:
    """`train_lanes` with its seeds, or its cells, divided over devices."""
    seeds, cells, lanes = layout.specs
    segment = Segment(seeds, *[PartitionSpec()] * 3)  # type: ignore[arg-type]
    function = partial(train_lanes, program, strategy, layout.at_once)
    return _on_mesh(function, layout, (layout.of_examples, seeds, cells, lanes, segment))


def looking_on_mesh(program: Program, look: Look, strategy: Strategy, layout: Layout) -> Callable[..., Any]:
    """`look_at_lanes` with its seeds, or its cells, divided over devices."""
    seeds, cells, lanes = layout.specs
    function = partial(look_at_lanes, program, look, strategy, layout.at_once)
    block = Block(seeds, PartitionSpec())  # type: ignore[arg-type]
    return _on_mesh(function, layout, (layout.of_examples, seeds, cells, lanes, lanes, lanes, block, lanes))


def settling_on_mesh(program: Program, layout: Layout) -> Callable[..., Any]:
    """`settle_lanes` with its seeds, or its cells, divided over devices."""
    _, cells, lanes = layout.specs
    whole = PartitionSpec()
    return _on_mesh(partial(settle_lanes, program), layout, (cells, lanes, lanes, whole, whole))


def measuring_on_mesh(
    program: Program, strategy: Strategy, layout: Layout
) -> Callable[[Examples, SeedExamples, Factors, TrainState, Chosen, dict[str, Any], Array], Observation]:
    """`measure_lanes` with its seeds, or its cells, divided over devices."""
    seeds, cells, lanes = layout.specs
    function = partial(measure_lanes, program, strategy, layout.at_once)
    return _on_mesh(function, layout, (layout.of_examples, seeds, cells, lanes, seeds, lanes, PartitionSpec()))


def _on_mesh(function: Callable[..., Any], layout: Layout, given: Any) -> Callable[..., Any]:
    """`function`, whose arguments are divided as is `given`, and whose results have axes (seeds, cells)."""
    *_, lanes = layout.specs
    return jax.shard_map(function, mesh=layout.mesh, in_specs=given, out_specs=lanes, check_vma=False)
