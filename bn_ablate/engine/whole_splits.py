"""What one lane does on its whole training set with frozen weights: statistics of its BNs, units that are off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import TrainState
from bn_ablate.measure import Moments, Zeros, moments, pooled, zeros
from bn_ablate.nn import Factors


def population_statistics(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples
) -> Any:
    """The mean and biased variance of what arrives at each BN in evaluation, over all training examples.

    Evaluation is with the moving statistics of `state` and no dropout. The moments are exact: those of the passes of
    `eval_batch` examples are pooled, not averaged.

    Returns:
        statistics that can stand in for `batch_stats`.
    """

    def look(seen: Any, counted: Array) -> Any:
        return jax.tree.map(lambda x: moments(x, counted), _arriving(state.batch_stats, seen))

    def is_moments(node: Any) -> bool:
        return isinstance(node, Moments)

    passes = _on_training_set(program, factors, state, examples, seed, look)
    whole = jax.tree.map(pooled, passes, is_leaf=is_moments)
    return _put(whole, state.batch_stats)


def recalibrate(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    sweeps: int | None = None,
    of: tuple[Literal["mean", "var"], ...] = ("mean", "var"),
) -> tuple[Any, Any]:
    """Put population statistics in the place of the moving ones, from the first BN to the last.

    The statistics of a BN depend on those of the BNs before it. A sweep measures all of them and puts them in; after
    sweep k the first k are those of the population, whatever the others were, and after as many sweeps as there are
    BNs all are: the network then computes what it would in training on a batch of the whole training set. This is
    PreciseBN (Wu & Johnson 2021, arXiv 2105.07576) without its dependence on a batch size: there the later BNs see
    what came of batch statistics in the earlier ones.

    Args:
        sweeps: as many as there are BNs, when not given.
        of: which statistics; the others stay as they are.

    Returns:
        the statistics after the last sweep, and those of the first sweep: what arrives in evaluation as it stands.
        Where no lane has moving statistics, the former stay as they are.
    """
    if not program.structure.moving:
        return state.batch_stats, population_statistics(program, factors, state, examples, seed)
    if sweeps is None:
        sweeps = program.model.depth + (program.structure.input_normed != "none")
    recalibrates = factors.recalibrates(program.structure)

    def sweep(stats: Any, _: None) -> tuple[Any, Any]:
        arriving = population_statistics(program, factors, state._replace(batch_stats=stats), examples, seed)
        if len(of) == 1:
            kept = jax.tree.map_with_path(lambda path, new, old: new if path[-1].key in of else old, arriving, stats)
            return jax.tree.map(lambda new, old: jnp.where(recalibrates, new, old), kept, stats), arriving
        if recalibrates is True:
            return arriving, arriving
        return jax.tree.map(lambda new, old: jnp.where(recalibrates, new, old), arriving, stats), arriving

    last, every = lax.scan(sweep, state.batch_stats, length=sweeps)
    return last, jax.tree.map(lambda leaf: leaf[0], every)


def zeros_on_training_set(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples
) -> list[Zeros]:
    """The zeros of each hidden block, in evaluation with the moving statistics of `state`, by pass."""

    def look(seen: Any, counted: Array) -> Any:
        return [zeros(seen[f"block_{i}"]["activation_output"][0], counted) for i in range(program.model.depth)]

    return _on_training_set(program, factors, state, examples, seed, look)  # type: ignore[no-any-return]


def _on_training_set(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    look: Callable[[Any, Bool[Array, " batch"]], Any],
) -> Any:
    """`look(intermediates, counted)` of each pass over the training set, stacked; not `counted` is what fills it up."""
    n = seed.train.shape[0]
    passes = -(-n // program.measure.eval_batch)
    size = -(-n // passes)
    indices = jnp.pad(seed.train, (0, passes * size - n)).reshape(passes, size)
    counted = (jnp.arange(passes * size) < n).reshape(passes, size)
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def one_pass(some: tuple[Array, Array]) -> Any:
        chosen, counted = some
        x, _ = examples.take(chosen, seed)
        _, seen = program.network.apply(variables, x, factors, train=False, mutable=["intermediates"])
        return look(seen["intermediates"], counted)

    return lax.map(one_pass, (indices, counted))


def _arriving(batch_stats: Any, seen: Any) -> Any:
    """What arrives at each BN, in the shape of `batch_stats`."""
    if "var" in batch_stats:
        return seen["input"][0]
    return {name: _arriving(inner, seen[name]) for name, inner in batch_stats.items()}


def _put(found: Any, batch_stats: Any) -> Any:
    """`batch_stats` with the moments that were found in the place of its means and variances."""
    if isinstance(found, Moments):
        return {**batch_stats, "mean": found.mean, "var": found.var}
    return {name: _put(inner, batch_stats[name]) for name, inner in found.items()}
