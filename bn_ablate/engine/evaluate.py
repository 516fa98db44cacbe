"""Loss and accuracy of one lane on train, validation and test, with the statistics that BN is given or with its own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bn_ablate.engine.passes import NOWHERE, Pass
from bn_ablate.engine.program import Program
from bn_ablate.measure import correct, cross_entropy
from bn_ablate.nn import Factors


class Sums(NamedTuple):
    """Of each part the examples that were counted, and the sums of their losses and of what was right."""

    n: Int[Array, "*lanes parts"]
    loss: Float[Array, "*lanes parts"]
    right: Float[Array, "*lanes parts"]

    def merged(self, more: Sums) -> Sums:
        """Those of both together."""
        return Sums(self.n + more.n, self.loss + more.loss, self.right + more.right)


class Evaluation(NamedTuple):
    """Mean cross-entropy in nats, and accuracy, on train, validation and test; NaN where there are no examples."""

    loss: Float[Array, " parts"]
    accuracy: Float[Array, " parts"]

    @classmethod
    def of(cls, sums: Sums) -> Evaluation:
        """What the sums over a split come to."""
        sizes = sums.n.astype(jnp.float32)
        return cls(sums.loss / sizes, sums.right / sizes)


def scores(program: Program, factors: Factors, variables: Any, some: Pass) -> Sums:
    """Evaluate some examples in eval mode, with the moving statistics of `variables` and no dropout."""
    logits: Array = program.network.apply(variables, some.x, factors, train=False)  # type: ignore[assignment]
    return _sums(logits, some)


def scores_by_batch(program: Program, factors: Factors, variables: Any, some: Pass) -> Sums:
    """Evaluate a batch with its own statistics and no dropout."""
    logits, _ = program.network.apply(variables, some.x, factors, train=True, mutable=["batch_stats"])
    return _sums(logits, some)


def _sums(logits: Array, some: Pass) -> Sums:
    # chosen by where, not by a product with 0: a loss that is not finite must stay in its own part
    mine = some.owners[None] == jnp.arange(NOWHERE, dtype=some.owners.dtype)[:, None]
    both = cross_entropy(logits, some.y), correct(logits, some.y)
    return Sums(mine.sum(1, dtype=jnp.int32), *(jnp.where(mine, values[None], 0.0).sum(1) for values in both))
