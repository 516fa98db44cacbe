"""What is measured of one lane only where the study asks for it, and is else not compiled."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from bn_ablate.engine.evaluate import Evaluation, evaluate, evaluate_by_batch
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import Batch, TrainState, loss_fn
from bn_ablate.engine.whole_splits import recalibrate, units_off_on_training_set
from bn_ablate.measure import landscape, measure_affine, variance_shift
from bn_ablate.nn import Factors


class Extras(NamedTuple):
    """The measures of `measure.also`; what was not asked for is None, or not there.

    Those that need passes over whole splits are taken at the first and the last measurement, and are zeros in between.

    Attributes:
        recalibrated: eval mode, with recalibrated in place of moving statistics.
        batch: with batch statistics, no dropout.
        history: measures of the whole network, by their names.
        layers: measures by hidden block, by their names.
    """

    recalibrated: Evaluation | None
    batch: Evaluation | None
    history: dict[str, Float[Array, ""]]
    layers: dict[str, Float[Array, " depth"]]


def take_extras(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    thorough: Bool[Array, ""],
) -> Extras:
    """Measure what `program.measure.also` names; `thorough` is the first or the last measurement, which takes more."""
    found = Extras(None, None, {}, {})
    if {"evaluations", "variance_shift", "dead"} & set(program.measure.also):
        look = partial(_thoroughly, program, factors, state, examples, seed)
        nothing = jax.eval_shape(look)
        found = lax.cond(thorough, look, lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nothing))
    if "affine" in program.measure.also:
        norms = [state.params[name]["norm"] for name in _blocks(program)]
        found.layers.update(
            _stacked(
                measure_affine(
                    jnp.where(factors.use_scale, norm["scale"], 1.0), jnp.where(factors.use_bias, norm["bias"], 0.0)
                )
                for norm in norms
            )
        )
    if "landscape" in program.measure.also:
        batch = Batch(*examples.take(seed.train[: program.train.batch_size], seed), None)

        def loss_and_gradient(params: Any) -> tuple[Array, Any]:
            return jax.value_and_grad(lambda params: loss_fn(program, factors, params, state.batch_stats, batch)[0])(
                params
            )

        found.history.update(landscape(loss_and_gradient, state.params, factors.learning_rate))
    return found


def _thoroughly(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples
) -> Extras:
    """What needs passes over the whole data."""
    settles = {"evaluations", "dead"} & set(program.measure.also)
    recalibrated, real = recalibrate(program, factors, state, examples, seed, None if settles else 1)
    settled = state.replace(batch_stats=recalibrated)
    found = Extras(None, None, {}, {})
    if "evaluations" in program.measure.also:
        found = found._replace(
            recalibrated=evaluate(program, factors, settled, examples, seed),
            batch=evaluate_by_batch(program, factors, state, examples, seed),
        )
    if "variance_shift" in program.measure.also:
        both = [(real[name]["norm"]["var"], state.batch_stats[name]["norm"]["var"]) for name in _blocks(program)]
        found.layers.update(_stacked(variance_shift(arriving, moving, factors.bn_epsilon) for arriving, moving in both))
    if "dead" in program.measure.also:
        found.layers.update(units_off_on_training_set(program, factors, settled, examples, seed))
    return found


def _blocks(program: Program) -> list[str]:
    return [f"block_{i}" for i in range(program.model.depth)]


def _stacked(blocks: Any) -> Any:
    """One record of arrays (depth, …) from the records of the blocks."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
