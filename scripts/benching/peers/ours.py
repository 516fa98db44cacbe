"""bn_ablate's own engine, as a study uses it: shard after shard through `Engine.run`."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from benching.cases import Case
from benching.examples import dataset_of, study_of
from benching.protocol import Peer, Ready, Timed
from bn_ablate.config.lane import LaneSettings
from bn_ablate.engine import Engine, Outcome, Progress, Shard, set_up, shards_of
from bn_ablate.plan import make_plan
from bn_ablate.plan.memory import PROGRAM_BYTES, lanes_that_fit, shard_bytes

DIAGNOSED_STEPS, DIAGNOSED_EVERY = 400, 50
"""The schema's default length of training, and its default schedule of measurements."""

_CACHE = tempfile.TemporaryDirectory()
"""Of this process alone: nothing that was compiled before counts."""


@dataclass(frozen=True)
class Trained:
    """A whole study: what came of it, its steps in calls that measure nothing, and seconds without compiling."""

    outcomes: list[Outcome]
    between_measurements: Timed
    seconds: float


class Ours(Peer):
    """The engine with one strategy, on all devices or the first few."""

    def __init__(
        self,
        case: Case,
        round_seconds: float,
        platform: Any,
        strategy: Literal["auto", "vmap", "map"],
        at_once: int,
        devices: int | None,
        precision: str = "float32",
    ) -> None:
        del round_seconds  # a study is trained whole
        set_up(platform, cache=Path(_CACHE.name))
        self._case = case
        self._precision = precision
        self._engine = Engine(dataset_of(case), strategy, jax.local_devices()[:devices], at_once)
        self._losses: dict[tuple[Any, ...], float] = {}

    def set_up(self) -> Ready:
        """Train the study once, from nothing."""
        trained = self._train(self._case)
        for outcome in trained.outcomes:
            losses = np.asarray(outcome.observations.loss_sum[-1]) / self._case.steps
            for i, cell in enumerate(outcome.shard.cells):
                of_seed = dict(zip(outcome.shard.seeds, losses[:, i], strict=True))
                if 0 in of_seed:
                    self._losses[tuple(cell.levels.values())] = float(of_seed[0])
        timing = self._engine.timing
        return Ready(
            timed=f"all {self._case.n_lanes} lanes",
            compile_seconds=timing.compile_seconds,
            programs=timing.programs,
            programs_of_case=timing.programs,
            study_seconds=trained.seconds + timing.compile_seconds,
            form=self._engine.strategy,
        )

    def round(self) -> Timed:
        """Train all lanes; what the engine does between its first and its last measurement is timed."""
        return self._train(self._case).between_measurements

    def study(self) -> dict[str, float]:
        """A round, and the seconds of the whole study once compiled: with initial states, splits, two measurements."""
        trained = self._train(self._case)
        return {**asdict(trained.between_measurements), "study_seconds": trained.seconds}

    def check(self) -> float:
        """See `Peer`."""
        return float(np.mean([self._losses[*lane.structure, lane.rate] for lane in self._case.sample()]))

    def diagnostics(self) -> dict[str, list[float]]:
        """Seconds of training with the default schedule of measurements, and without any, three times by turns."""
        bare, diagnosed = (replace(self._case, steps=DIAGNOSED_STEPS, every=every) for every in (None, DIAGNOSED_EVERY))
        seconds: dict[str, list[float]] = {"on": [], "off": []}
        for _ in range(3):
            before = self._engine.timing.train_seconds
            self._train(diagnosed)
            seconds["on"].append(self._engine.timing.train_seconds - before)
            timed = self._train(bare).between_measurements
            seconds["off"].append(timed.seconds * DIAGNOSED_STEPS * bare.n_lanes / timed.lane_steps)
        return seconds

    def estimated_bytes(self) -> int:
        """What the engine thought beforehand that it would need."""
        machine, extent = self._engine.machine(), self._engine.dataset.extent
        shards = self._shards(self._case)
        needs = [
            shard_bytes(shard.cells[0].settings, len(shard.lane_ids), len(shard.seeds), machine, extent)
            for shard in shards
        ]
        return PROGRAM_BYTES + max(needs)

    def _shards(self, case: Case) -> list[Shard]:
        """Those that a study would be cut into."""
        plan = make_plan(study_of(case, self._precision))

        def room(settings: LaneSettings) -> int:
            return lanes_that_fit(settings, len(plan.seeds), self._engine.machine(), self._engine.dataset.extent)

        return shards_of(plan, max_lanes=room)

    def _train(self, case: Case) -> Trained:
        """Train `case`, and measure as often as it says."""
        outcomes, lane_steps, seconds = [], 0, 0.0
        compiled, begun = self._engine.timing.compile_seconds, time.perf_counter()
        for shard in self._shards(case):
            seen: list[Progress] = []
            outcomes.append(self._engine.run(shard, seen.append))
            first = seen[0]  # a call that measures before it trains; the very last call only measures
            last = next(progress for progress in seen if progress.lane_steps == seen[-1].lane_steps)
            lane_steps += last.lane_steps - first.lane_steps
            seconds += last.seconds - first.seconds
        whole = time.perf_counter() - begun - (self._engine.timing.compile_seconds - compiled)
        return Trained(outcomes, Timed(lane_steps, seconds), whole)


def make(case: Case, examples: str, **options: Any) -> Ours:
    """See `benching.serve`."""
    del examples
    return Ours(case, **options)
