"""Measuring the lanes of a shard: passes over whole splits, block by block, then what is measured of each lane."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.stages import Compiled

from bn_ablate.engine.examples import Examples
from bn_ablate.engine.extras import views_of
from bn_ablate.engine.feed import Ahead
from bn_ablate.engine.many_lanes import Block
from bn_ablate.engine.observe import Observation
from bn_ablate.engine.passes import Chosen
from bn_ablate.engine.programs import Programs, Wanted
from bn_ablate.engine.train import TrainState
from bn_ablate.engine.views import VIEWS, Look, see


@dataclass(frozen=True)
class Measuring:
    """Measures lanes with compiled programs.

    Attributes:
        wanted: the lanes.
        programs: what measures them.
        ready: waits for a program.
    """

    wanted: Wanted
    programs: Programs
    ready: Callable[[Future[Compiled]], Compiled]

    def measure(self, states: TrainState, thorough: bool) -> tuple[Observation, Any]:
        """What is observed of lanes as they stand; `thorough`, at the first and the last measurement, is more.

        With it come the statistics that averaged weights were evaluated with; None where they were not.
        """
        wanted = self.wanted
        always, ends = views_of(wanted.program)
        views = always | ends if thorough else always
        seen, statistics = see(views, wanted.program, states, partial(self._over, states, thorough), self._settled)
        seen |= {view: wanted.blank(VIEWS[view], states.batch_stats) for view in ends - views}
        examples, chosen = self._chosen
        given = (states, chosen, seen, np.bool_(thorough))
        found: Observation = self.ready(self.programs.measure)(examples, wanted.seeds, wanted.factors, *given)
        return found, statistics.get("averaged")

    def _over(self, states: TrainState, thorough: bool, view: str, params: Any, batch_stats: Any) -> Any:
        """What a view shows: of the evaluation and of training batches, some passes where it is not `thorough`."""
        look = VIEWS[view]
        _, few = self.wanted.passes(look)
        n = few if view == "train_mode" or not thorough else None
        program = self.ready(self.programs.looks[look])
        return look_over(self.wanted, look, program, states._replace(params=params, batch_stats=batch_stats), n)

    def _settled(self, batch_stats: Any, found: Any, mean: bool, var: bool) -> Any:
        assert self.programs.settle is not None
        settle = self.ready(self.programs.settle)
        return settle(self.wanted.factors, batch_stats, found, np.bool_(mean), np.bool_(var))

    @cached_property
    def _chosen(self) -> tuple[Examples, Chosen]:
        """The examples that every measurement looks at one by one."""
        examples, chosen = self.wanted.feed.give(self.wanted.chosen)
        return examples, chosen


def look_over(wanted: Wanted, look: Look, program: Compiled, states: TrainState, n: int | None = None) -> Any:
    """What a look's `program` shows of lanes in the first `n` of its passes, or in all, read block by block."""
    passes, _ = wanted.passes(look)
    n = passes.indices.shape[1] if n is None else n
    room = wanted.block_of(look).passes.indices.shape[1]

    def block(begin: int) -> tuple[Examples, Block]:
        some = wanted.block_of(look, begin, n)
        examples, indices = wanted.feed.give(some.passes.indices)
        return examples, some._replace(passes=some.passes._replace(indices=indices))

    lanes = (states.step, states.params, states.batch_stats)
    so_far = wanted.blank(look, states.batch_stats)
    with Ahead() as reading:
        for examples, some in reading.each([partial(block, begin) for begin in range(0, n, room)]):
            so_far = program(examples, wanted.seeds, wanted.factors, *lanes, some, so_far)
            jax.block_until_ready(so_far)  # else dozens of blocks would wait for their turn, all of them in memory
    return so_far
