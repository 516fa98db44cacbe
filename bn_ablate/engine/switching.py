"""BN that comes or goes between two steps of a lane's training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import optax
from jax import lax

from bn_ablate.engine.optimizers import make_tx
from bn_ablate.engine.program import Program
from bn_ablate.nn import Factors
from bn_ablate.nn.folding import folded, put_in

if TYPE_CHECKING:
    from bn_ablate.engine.train import Batch, TrainState


def switched(program: Program, lane: Factors, without: Factors, state: TrainState, batch: Batch) -> TrainState:
    """The `state` after a step, with BN put in or taken out where the next step is the first with it, or without.

    What the network computes in evaluation stays the same. The optimizer begins anew, since its parameters are others,
    but for its schedule.

    Args:
        lane: the lane's factors as they are at no step.
        without: its factors in the step that `state` comes of.
        batch: what that step was given; BN that comes has the statistics of what arrives there.
    """
    structure = program.structure

    def came(state: TrainState) -> TrainState:
        given = {"params": state.params, "batch_stats": state.batch_stats}
        kept = ["batch_stats", "intermediates"]
        _, seen = program.network.apply(given, batch.x, without, batch.noise, train=True, mutable=kept)
        return begun(*put_in(state.params, state.batch_stats, dict(seen)["intermediates"], lane, structure))

    def gone(state: TrainState) -> TrainState:
        return begun(*folded(state.params, state.batch_stats, lane, structure))

    def begun(params: Any, batch_stats: Any) -> TrainState:
        opt_state = anew(state.opt_state, make_tx(program, lane).init(params))
        return state._replace(params=params, batch_stats=batch_stats, opt_state=opt_state)

    def stays(state: TrainState) -> TrainState:
        return state

    if "since" in structure.choices:
        state = lax.cond(state.step == lane.since, came, stays, state)
    if "until" in structure.choices:
        state = lax.cond(state.step == lane.until, gone, stays, state)
    return state


def anew(before: Any, fresh: Any) -> Any:
    """The `fresh` state of an optimizer, with the schedule as far as it was `before`."""

    def is_schedule(node: Any) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    def one(old: Any, new: Any) -> Any:
        return old if is_schedule(old) else new

    return jax.tree.map(one, before, fresh, is_leaf=is_schedule)
