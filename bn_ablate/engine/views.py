"""What can be seen of a lane in passes over whole splits: of each pass something small, which can be merged."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from bn_ablate.data import Split
from bn_ablate.engine.evaluate import Sums, scores, scores_by_batch
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.passes import NOWHERE, Pass, Passes, all_parts, in_batches, training_set
from bn_ablate.engine.program import Program
from bn_ablate.engine.whole_splits import arriving, sweeps_of, zeros_seen
from bn_ablate.measure import Moments, Zeros
from bn_ablate.nn import Factors

Look: TypeAlias = Literal["scores", "by_batch", "arriving", "zeros"]

LOOKS: dict[Look, Callable[..., Any]] = {
    "scores": scores,
    "by_batch": scores_by_batch,
    "arriving": arriving,
    "zeros": zeros_seen,
}
"""By name: (program, factors, variables, pass) to what it shows."""

VIEWS: dict[str, Look] = {
    "evaluated": "scores",
    "recalibrated": "scores",
    "mean_recalibrated": "scores",
    "variance_recalibrated": "scores",
    "averaged": "scores",
    "batch": "by_batch",
    "train_mode": "by_batch",
    "zeros": "zeros",
    "arriving": "arriving",
}
"""What measures see of whole splits, and the look that it is; of weights and statistics as they stand, or changed."""

RECALIBRATED: dict[str, tuple[bool, bool]] = {
    "recalibrated": (True, True),
    "zeros": (True, True),
    "averaged": (True, True),
    "mean_recalibrated": (True, False),
    "variance_recalibrated": (False, True),
}
"""The views with recalibrated statistics: whether means are, and variances."""

Over: TypeAlias = Callable[[str, Any, Any], Any]
"""(view, params, batch_stats) to what its look shows, over all of its passes."""

Settle: TypeAlias = Callable[[Any, Any, bool, bool], Any]
"""(batch_stats, what was found to arrive, whether means are put in, whether variances are) to statistics."""


def merge(so_far: Any, more: Any) -> Any:
    """What was seen `so_far` and what one pass has shown `more`, together."""
    return jax.tree.map(lambda some, others: some.merged(others), so_far, more, is_leaf=_merges)


def blank(look: Look, program: Program, batch_stats: Any) -> Any:
    """What a look shows of no examples, with the leading axes of `batch_stats`: (seeds, cells), or none."""
    if look == "arriving":
        return _moments(batch_stats)
    lead = _lead(batch_stats)
    if look == "zeros":
        layers = program.model.layout(program.image_shape, program.classes).layers
        return [Zeros(_none(*lead), _none(*lead, layer.output[-1], kind=bool), _none(*lead)) for layer in layers]
    return Sums(_none(*lead, NOWHERE, kind=np.int32), _none(*lead, NOWHERE), _none(*lead, NOWHERE))


def passes_of(look: Look, program: Program, split: Split) -> tuple[Passes, int]:
    """All passes of a look, and how many of them, the first ones, are taken where it does not look at everything."""
    measure = program.measure
    if look == "scores":
        return all_parts(split, measure.eval_batch, measure.examples)
    if look == "by_batch":
        return in_batches(split, program.train.batch_size)
    passes = training_set(split, measure.eval_batch)
    return passes, passes.indices.shape[-2]


def look_through(
    program: Program,
    look: Look,
    examples: Examples,
    seed: SeedExamples,
    passes: Passes,
    n: int | Int[Array, ""],
    factors: Factors,
    step: Int[Array, ""],
    params: Any,
    batch_stats: Any,
    so_far: Any,
) -> Any:
    """`look` at one lane in the first `n` of `passes`: what was seen `so_far`, with what these have added."""
    factors, variables = factors.at(step, program.structure), {"params": params, "batch_stats": batch_stats}
    indices, owners = map(jnp.asarray, passes)

    def one_pass(i: Array, so_far: Any) -> Any:
        x, y = examples.take(indices[i], seed)
        return merge(so_far, LOOKS[look](program, factors, variables, Pass(x, y, owners[i])))

    return lax.fori_loop(0, n, one_pass, so_far)


class Sight(NamedTuple):
    """What is seen, by view, and the statistics that networks have in each."""

    seen: dict[str, Any]
    statistics: dict[str, Any]


def see(views: Set[str], program: Program, state: Any, over: Over, settle: Settle) -> Sight:
    """What is seen in these `views` of a lane, or of many, whose `state` has their parameters and statistics."""
    seen: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    settled: dict[Any, Any] = {}
    for view in sorted(views, key=list(VIEWS).index):
        params = state.average if view == "averaged" else state.params
        batch_stats = state.batch_stats
        if view in RECALIBRATED and program.structure.moving:
            mean, var = RECALIBRATED[view]
            key = (view == "averaged", mean, var)
            if key not in settled:
                settled[key] = batch_stats
                for sweep in range(sweeps_of(program)):
                    found = over("arriving", params, settled[key])
                    settled[key] = settle(settled[key], found, mean, var)
                    if sweep == 0 and view != "averaged":
                        seen["arriving"] = found
            batch_stats = settled[key]
        statistics[view] = batch_stats
        if view not in seen:
            seen[view] = over(view, params, batch_stats)
    return Sight({view: seen[view] for view in views}, statistics)


def _merges(node: Any) -> bool:
    return isinstance(node, Sums | Moments | Zeros)


def _lead(batch_stats: Any) -> tuple[int, ...]:
    """The leading axes of statistics, before that of channels."""
    if "var" in batch_stats:
        lead: tuple[int, ...] = batch_stats["var"].shape[:-1]
        return lead
    return _lead(next(iter(batch_stats.values())))


def _moments(batch_stats: Any) -> Any:
    """No moments, in the tree of statistics."""
    if "var" in batch_stats:
        shape = batch_stats["var"].shape
        return Moments(_none(*shape[:-1]), _none(*shape), _none(*shape))
    return {name: _moments(inner) for name, inner in batch_stats.items()}


def _none(*shape: int, kind: type = np.float32) -> Any:
    return np.zeros(shape, kind)
