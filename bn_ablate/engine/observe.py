"""What is measured of one lane at one moment."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import Batch, TrainState, loss_fn
from bn_ablate.measure import LayerMeasures, correct, cross_entropy, gradient_norms, histogram, measure_layer
from bn_ablate.nn import Factors, slope


class Observation(NamedTuple):
    """One lane's measurements at one moment.

    Attributes:
        loss_sum: sum of the training batch losses since the last measurement.
        loss, accuracy: eval mode (moving statistics, no dropout) on train, validation and test.
        layers: measures by hidden block, on the probe with batch statistics and no dropout.
        gradient_norm: L2 norm, for the kernel of each hidden block, of the loss gradient on that same probe.
        histograms: counts, by block, of what Dense gives and of what the activation gets; zeros unless asked for.
    """

    loss_sum: Float[Array, ""]
    loss: Float[Array, " 3"]
    accuracy: Float[Array, " 3"]
    layers: LayerMeasures
    gradient_norm: Float[Array, " depth"]
    histograms: Int[Array, "depth 2 102"]


def evaluate(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples
) -> tuple[Float[Array, " 3"], Float[Array, " 3"]]:
    """Mean cross-entropy and accuracy in eval mode on train, validation and test, `eval_batch` examples at a time."""
    splits = (seed.train, seed.validation, seed.test)
    sizes = jnp.asarray([split.shape[0] for split in splits], jnp.float32)
    n = sum(split.shape[0] for split in splits)
    passes = -(-n // program.eval_batch)
    size = -(-n // passes)
    nowhere = len(splits)
    indices = jnp.pad(jnp.concatenate(splits), (0, passes * size - n)).reshape(passes, size)
    owners = [jnp.full(split.shape, i) for i, split in enumerate(splits)]
    parts = jnp.pad(jnp.concatenate(owners), (0, passes * size - n), constant_values=nowhere).reshape(passes, size)
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def one_pass(some: tuple[Array, Array]) -> tuple[Array, Array]:
        chosen, part = some
        x, y = examples.take(chosen, seed)
        logits: Array = program.network.apply(variables, x, factors, train=False)  # type: ignore[assignment]
        # chosen by where, not by a product with 0: a loss that is not finite must stay in its own part
        mine = part == jnp.arange(len(splits))[:, None]
        losses, hits = cross_entropy(logits, y), correct(logits, y)
        return jnp.where(mine, losses, 0.0).sum(1), jnp.where(mine, hits, 0.0).sum(1)

    losses, hits = lax.map(one_pass, (indices, parts))
    return losses.sum(0) / sizes, hits.sum(0) / sizes


def observe(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    with_histograms: Array,
) -> Observation:
    """Measure one lane as it stands."""
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
        histograms=lax.cond(with_histograms, count, lambda: jnp.zeros(empty.shape, empty.dtype)),
    )
