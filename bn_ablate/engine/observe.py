"""What is measured of one lane at one moment."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from bn_ablate.engine.evaluate import evaluate
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.extras import Extras, take_extras
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import Batch, TrainState, loss_fn
from bn_ablate.measure import LayerMeasures, gradient_norms, histogram, measure_layer
from bn_ablate.nn import Factors, slope


class Observation(NamedTuple):
    """One lane's measurements at one moment.

    Attributes:
        loss_sum: sum of the training batch losses since the last measurement.
        loss, accuracy: eval mode (moving statistics, no dropout) on train, validation and test.
        layers: measures by hidden block, on the probe with batch statistics and no dropout.
        gradient_norm: L2 norm, for the kernel of each hidden block, of the loss gradient on that same probe.
        histograms: counts, by block, of what Dense gives and of what the activation gets; zeros unless thorough.
        extras: what the study asked for besides.
    """

    loss_sum: Float[Array, ""]
    loss: Float[Array, " 3"]
    accuracy: Float[Array, " 3"]
    layers: LayerMeasures
    gradient_norm: Float[Array, " depth"]
    histograms: Int[Array, "depth 2 102"]
    extras: Extras = Extras()


def observe(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    thorough: Array,
) -> Observation:
    """Measure one lane as it stands; `thorough` is the first or the last measurement, which takes more."""
    loss, accuracy = evaluate(program, factors, state, examples, seed)
    x, y = examples.take(seed.train[: program.probe], seed)
    (_, seen), gradients = jax.value_and_grad(
        lambda params: loss_fn(program, factors, params, state.batch_stats, Batch(x, y, None), ("intermediates",)),
        has_aux=True,
    )(state.params)
    blocks = [seen["intermediates"][f"block_{i}"] for i in range(program.depth)]
    layers = [
        measure_layer(z, block["activation_output"][0], slope(program.structure.activations, factors.activation, z))
        for block in blocks
        for z in block["activation_input"]
    ]

    def count() -> Array:
        return jnp.stack(
            [jnp.stack([histogram(b["linear_output"][0]), histogram(b["activation_input"][0])]) for b in blocks]
        )

    empty = jax.eval_shape(count)
    return Observation(
        loss_sum=state.loss_sum,
        loss=loss,
        accuracy=accuracy,
        layers=jax.tree.map(lambda *values: jnp.stack(values), *layers),
        gradient_norm=gradient_norms(gradients, program.depth),
        histograms=lax.cond(thorough, count, lambda: jnp.zeros(empty.shape, empty.dtype)),
        extras=take_extras(
            program, factors, state, examples, seed, [block["activation_input"][0] for block in blocks], thorough
        ),
    )
