"""What one lane does on its whole training set with frozen weights: statistics of its BNs, units that are off."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from bn_ablate.engine.passes import NOWHERE, Pass
from bn_ablate.engine.program import Program
from bn_ablate.measure import Moments, Zeros, moments, zeros
from bn_ablate.nn import Factors


def arriving(program: Program, factors: Factors, variables: Any, some: Pass) -> Any:
    """The moments of what arrives at each BN in evaluation with the statistics of `variables`, in their tree."""
    _, seen = program.network.apply(variables, some.x, factors, train=False, mutable=["intermediates"])
    found = _arriving(variables["batch_stats"], seen["intermediates"])
    return jax.tree.map(lambda x: moments(x, some.owners != NOWHERE), found)


def zeros_seen(program: Program, factors: Factors, variables: Any, some: Pass) -> list[Zeros]:
    """The zeros of each hidden block, in evaluation with the statistics of `variables`."""
    _, seen = program.network.apply(variables, some.x, factors, train=False, mutable=["intermediates"])
    blocks = [seen["intermediates"][f"block_{i}"] for i in range(program.model.depth)]
    return [zeros(block["activation_output"][0], some.owners != NOWHERE) for block in blocks]


def settled(
    program: Program,
    factors: Factors,
    batch_stats: Any,
    found: Any,
    mean: Bool[Array, ""] | bool,
    var: Bool[Array, ""] | bool,
) -> Any:
    """Put what was `found` to arrive at each BN in the place of its moving statistics, its `mean`, its `var`, or both.

    The statistics of a BN depend on those of the BNs before it. A sweep measures all of them and puts them in; after
    sweep k the first k are those of the population, whatever the others were, and after as many sweeps as there are
    BNs all are: the network then computes what it would in training on a batch of the whole training set. This is
    PreciseBN (Wu & Johnson 2021, arXiv 2105.07576) without its dependence on a batch size: there the later BNs see
    what came of batch statistics in the earlier ones.

    Where a lane has no moving statistics, they stay as they are.
    """
    recalibrates = factors.recalibrates(program.structure)
    chosen = {"mean": jnp.logical_and(recalibrates, mean), "var": jnp.logical_and(recalibrates, var)}

    def put(found: Any, stats: Any) -> Any:
        if isinstance(found, Moments):
            return stats | {key: jnp.where(chosen[key], getattr(found, key), stats[key]) for key in chosen}
        return {name: put(inner, stats[name]) for name, inner in found.items()}

    return put(found, dict(batch_stats))


def sweeps_of(program: Program) -> int:
    """How many sweeps recalibrate all BNs: as many as there may be."""
    return program.model.depth + (program.structure.input_normed != "none")


def _arriving(batch_stats: Any, seen: Any) -> Any:
    """What arrives at each BN, in the shape of `batch_stats`."""
    if "var" in batch_stats:
        return seen["input"][0]
    return {name: _arriving(inner, seen[name]) for name, inner in batch_stats.items()}
