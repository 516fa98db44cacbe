"""What is measured of one lane at one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from bn_ablate.engine.evaluate import Evaluation
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.extras import Extras, on_probe, take_extras
from bn_ablate.engine.passes import Chosen
from bn_ablate.engine.program import Program, at_precision
from bn_ablate.engine.train import Batch, TrainState, loss_fn
from bn_ablate.measure import MEASURES, ON_PROBE, gradient_norms, histogram, measure_layer
from bn_ablate.nn import Factors, slope


class Observation(NamedTuple):
    """One lane's measurements at one moment.

    Attributes:
        loss_sum: sum of the training batch losses since the last measurement.
        loss, accuracy: eval mode (moving statistics, no dropout) on train, validation and test.
        layers: measures by hidden block, on the probe with batch statistics and no dropout, by their names.
        histograms: counts, by block, of what Dense gives and of what the activation gets; zeros unless thorough.
        extras: what the study asked for besides.
    """

    loss_sum: Float[Array, ""]
    loss: Float[Array, " 3"]
    accuracy: Float[Array, " 3"]
    layers: dict[str, Float[Array, " depth"]]
    histograms: Int[Array, "depth 2 102"]
    extras: Extras


@at_precision
def observe(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    chosen: Chosen,
    seen: dict[str, Any],
    thorough: Array,
) -> Observation:
    """Measure one lane as it stands; `thorough` is the first or the last measurement, which takes more.

    Args:
        examples: those that are `chosen`, or more.
        seen: what was seen of whole splits, by the names in `views.VIEWS`.
    """
    factors = factors.at(state.step, program.structure)
    loss, accuracy = Evaluation.of(seen["evaluated"])
    x, y = examples.take(chosen.probe, seed)
    (_, probed), gradients = jax.value_and_grad(
        lambda params: loss_fn(program, factors, params, state.batch_stats, Batch(x, y, None), ("intermediates",)),
        has_aux=True,
    )(state.params)
    blocks = [probed["intermediates"][f"block_{i}"] for i in range(program.model.depth)]
    before, z, a = (
        [block[name][0] for block in blocks] for name in ("linear_output", "activation_input", "activation_output")
    )

    def measure(z: Array, a: Array) -> dict[str, Array]:
        seen = dict(zip(ON_PROBE, (z, a, slope(program.structure.activations, factors.activation, z)), strict=True))
        found = measure_layer(**seen)
        for asked in (MEASURES[name] for name in program.measure.also if on_probe(name)):
            found |= asked.formula(*(seen[name].astype(jnp.float32) for name in asked.sees))
        return found

    def count() -> Array:
        return by_layer(lambda *sites: jnp.stack([histogram(site) for site in sites]), before, z)  # type: ignore[no-any-return]

    empty = jax.eval_shape(count)
    return Observation(
        loss_sum=state.loss_sum,
        loss=loss,
        accuracy=accuracy,
        layers=by_layer(measure, z, a) | {"gradient_norm": gradient_norms(gradients, program.model.depth)},
        histograms=lax.cond(thorough, count, lambda: jnp.zeros(empty.shape, empty.dtype)),
        extras=take_extras(program, factors, state, examples, seed, chosen, seen, thorough),
    )


def by_layer(measure: Callable[..., Any], *layers: list[Array]) -> Any:
    """`measure` of each layer's arrays, its results stacked along a first axis of layers.

    Layers of one shape are measured together: less to compile.
    """
    found: list[Any] = [None] * len(layers[0])
    shapes = [tuple(array.shape for array in of_layer) for of_layer in zip(*layers, strict=True)]
    for shape in dict.fromkeys(shapes):
        mine = [i for i, other in enumerate(shapes) if other == shape]
        together = jax.vmap(measure)(*[jnp.stack([arrays[i] for i in mine]) for arrays in layers])
        for place, i in enumerate(mine):
            found[i] = jax.tree.map(lambda leaf, place=place: leaf[place], together)
    return jax.tree.map(lambda *values: jnp.stack(values), *found)
