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
from bn_ablate.measure import (
    AffineMeasures,
    Landscape,
    UnitsOff,
    VarianceShift,
    landscape,
    measure_affine,
    unit_percentiles,
    variance_shift,
)
from bn_ablate.nn import Factors


class Extras(NamedTuple):
    """The measures of `measure.also`; None for what was not asked for.

    The first four are taken at the first and the last measurement, and are zeros in between.

    Attributes:
        recalibrated: eval mode, with recalibrated in place of moving statistics.
        batch: with batch statistics, no dropout.
        variance_shift: by hidden block, of the variance that arrives at its BN in eval mode.
        units_off: by hidden block, over the training set, with recalibrated statistics.
        affine: by hidden block, of its gamma and beta.
        landscape: on the first `batch_size` training examples, with batch statistics and no dropout.
        percentiles: by hidden block, of the activation's input on the probe; 15, 50, 85.
    """

    recalibrated: Evaluation | None = None
    batch: Evaluation | None = None
    variance_shift: VarianceShift | None = None
    units_off: UnitsOff | None = None
    affine: AffineMeasures | None = None
    landscape: Landscape | None = None
    percentiles: Float[Array, "depth 3"] | None = None


def take_extras(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    probe_inputs: list[Float[Array, "probe *places units"]],
    thorough: Bool[Array, ""],
) -> Extras:
    """Measure what `program.also` names.

    Args:
        probe_inputs: by hidden block, the activation's input on the probe.
        thorough: whether this is the first or the last measurement.
    """
    found = Extras()
    if {"evaluations", "variance_shift", "dead"} & set(program.also):
        look = partial(_thoroughly, program, factors, state, examples, seed)
        nothing = jax.eval_shape(look)
        found = lax.cond(thorough, look, lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nothing))
    if "affine" in program.also:
        norms = [state.params[name]["norm"] for name in _blocks(program)]
        found = found._replace(
            affine=_stacked(
                measure_affine(
                    jnp.where(factors.use_scale, norm["scale"], 1.0), jnp.where(factors.use_bias, norm["bias"], 0.0)
                )
                for norm in norms
            )
        )
    if "landscape" in program.also:
        batch = Batch(*examples.take(seed.train[: program.batch_size], seed), None)

        def loss_and_gradient(params: Any) -> tuple[Array, Any]:
            return jax.value_and_grad(lambda params: loss_fn(program, factors, params, state.batch_stats, batch)[0])(
                params
            )

        found = found._replace(landscape=landscape(loss_and_gradient, state.params, factors.learning_rate))
    if "percentiles" in program.also:
        found = found._replace(percentiles=jnp.stack([unit_percentiles(z) for z in probe_inputs]))
    return found


def _thoroughly(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples
) -> Extras:
    """What needs passes over the whole data."""
    settles = {"evaluations", "dead"} & set(program.also)
    recalibrated, real = recalibrate(program, factors, state, examples, seed, None if settles else 1)
    settled = state.replace(batch_stats=recalibrated)
    found = Extras()
    if "evaluations" in program.also:
        found = found._replace(
            recalibrated=evaluate(program, factors, settled, examples, seed),
            batch=evaluate_by_batch(program, factors, state, examples, seed),
        )
    if "variance_shift" in program.also:
        both = [(real[name]["norm"]["var"], state.batch_stats[name]["norm"]["var"]) for name in _blocks(program)]
        found = found._replace(
            variance_shift=_stacked(variance_shift(arriving, moving, factors.bn_epsilon) for arriving, moving in both)
        )
    if "dead" in program.also:
        found = found._replace(units_off=units_off_on_training_set(program, factors, settled, examples, seed))
    return found


def _blocks(program: Program) -> list[str]:
    return [f"block_{i}" for i in range(program.depth)]


def _stacked(blocks: Any) -> Any:
    """One record of arrays (depth, …) from the records of the blocks."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
