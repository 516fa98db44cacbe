"""Loss and accuracy of one lane on train, validation and test, with the statistics that BN is given or with its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from bn_ablate.data.permutation import permutation
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import TrainState
from bn_ablate.measure import correct, cross_entropy
from bn_ablate.nn import Factors


class Evaluation(NamedTuple):
    """Mean cross-entropy in nats, and accuracy, on train, validation and test, or the first of them."""

    loss: Float[Array, " parts"]
    accuracy: Float[Array, " parts"]


def evaluate(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    whole: bool | Bool[Array, ""] = True,
) -> Evaluation:
    """Evaluate in eval mode, with the moving statistics of `state` and no dropout, `eval_batch` examples at a time.

    Where not `whole`, that is on `measure.examples` of each split: the same for all lanes of a seed, at random places.
    """
    splits = (seed.train, seed.validation, seed.test)
    few, others = (splits, []) if whole is True else _divided(splits, program.measure.examples)
    n = sum(split.shape[0] for split in few)
    passes = -(-n // program.measure.eval_batch)
    dealt = [_in_passes(some, -(-n // passes)) for some in (few, others) if some]
    indices, parts = (jnp.concatenate(arrays) for arrays in zip(*dealt, strict=True))
    taken: int | Array = len(indices)
    counts = jnp.asarray([split.shape[0] for split in splits], jnp.float32)
    if others:
        taken = jnp.where(whole, len(indices), passes)
        counts = jnp.where(whole, counts, jnp.asarray([split.shape[0] for split in few], jnp.float32))
    # behind a barrier, since XLA would multiply by the reciprocals of constants, which are rounded
    sizes = lax.optimization_barrier(counts)
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def one_pass(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        x, y = examples.take(indices[i], seed)
        logits: Array = program.network.apply(variables, x, factors, train=False)  # type: ignore[assignment]
        # chosen by where, not by a product with 0: a loss that is not finite must stay in its own part
        mine = parts[i][None] == jnp.arange(len(splits))[:, None]
        both = cross_entropy(logits, y), correct(logits, y)
        found = [jnp.where(mine, values[None], 0.0).sum(1) for values in both]
        losses, hits = (lax.dynamic_update_index_in_dim(s, f, i, 0) for s, f in zip(sums, found, strict=True))
        return losses, hits

    nothing = jnp.zeros((len(indices), len(splits)), jnp.float32)
    losses, hits = lax.fori_loop(0, taken, one_pass, (nothing, nothing))
    return Evaluation(losses.sum(0) / sizes, hits.sum(0) / sizes)


def _divided(splits: Sequence[Array], most: int | None) -> tuple[Sequence[Array], Sequence[Array]]:
    """Of each split `most` examples, and the others; all, and nothing, where there are no more."""
    if most is None or all(split.shape[0] <= most for split in splits):
        return splits, []
    orders = [permutation(split.shape[0], "measured", 0) for split in splits]
    few = [split[np.sort(order[:most])] for split, order in zip(splits, orders, strict=True)]
    return few, [split[np.sort(order[most:])] for split, order in zip(splits, orders, strict=True)]


def _in_passes(splits: Sequence[Array], size: int) -> tuple[Array, Array]:
    """(passes, size): the examples of all `splits`, and which of these each belongs to; what fills up, to none."""
    n, nowhere = sum(split.shape[0] for split in splits), len(splits)
    passes = -(-n // size)
    owners = jnp.concatenate([jnp.full(split.shape, i) for i, split in enumerate(splits)])
    indices = jnp.pad(jnp.concatenate(splits), (0, passes * size - n)).reshape(passes, size)
    return indices, jnp.pad(owners, (0, passes * size - n), constant_values=nowhere).reshape(passes, size)


def evaluate_by_batch(
    program: Program, factors: Factors, state: TrainState, examples: Examples, seed: SeedExamples, parts: int = 3
) -> Evaluation:
    """Evaluate the first `parts` with batch statistics and no dropout, in batches of `batch_size` examples of one part.

    The number k of batches of a part is the least that holds it; batch i has the examples i, i + k, i + 2k, … of the
    part, so that the order of the data does not matter. Where the part does not fill its batches, they are filled up
    with examples of the same part, which join in the statistics, but are counted only once.
    """
    splits = (seed.train, seed.validation, seed.test)[:parts]
    batches = [-(-split.shape[0] // program.train.batch_size) for split in splits]

    def dealt(split: Array, k: int) -> tuple[Array, Array]:
        places = jnp.arange(k)[:, None] + k * jnp.arange(program.train.batch_size)[None]
        chosen = jnp.take(split, places % split.shape[0], mode="clip") if k else places  # a part of no examples
        return chosen, places < split.shape[0]

    indices, counted = (jnp.concatenate(some) for some in zip(*map(dealt, splits, batches), strict=True))

    def one_batch(some: tuple[Array, Array]) -> tuple[Array, Array]:
        chosen, counted = some
        x, y = examples.take(chosen, seed)
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        logits, _ = program.network.apply(variables, x, factors, train=True, mutable=["batch_stats"])
        losses, hits = cross_entropy(logits, y), correct(logits, y)
        return jnp.where(counted, losses, 0.0).sum(), jnp.where(counted, hits, 0.0).sum()

    owner = jnp.repeat(jnp.arange(len(splits)), jnp.asarray(batches), total_repeat_length=sum(batches))
    sums = lax.map(one_batch, (indices, counted))
    sizes = jnp.asarray([split.shape[0] for split in splits], jnp.float32)
    loss, accuracy = (jax.ops.segment_sum(some, owner, len(splits)) / sizes for some in sums)
    return Evaluation(loss, accuracy)
