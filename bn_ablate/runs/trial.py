"""How long a plan takes on this machine, by a trial: some seconds of each of its programs, and nothing stored."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bn_ablate.plan import Plan
from bn_ablate.runs.layout import Asked, settle
from bn_ablate.runs.run import data_of

if TYPE_CHECKING:
    from bn_ablate.engine import Engine, Progress, Shard


class Times(NamedTuple):
    """Seconds: of training and measuring all lanes of a plan, as extrapolated, and of compiling its programs."""

    train: float
    compile: float


class _EnoughError(Exception):
    """The trial has lasted long enough."""


def time_plan(plan: Plan, asked: Asked, seconds: float = 5.0, data_dir: Path | None = None) -> Times:
    """Train the first shard of each program of `plan` for so many seconds, and extrapolate to all lanes and steps.

    Compiled programs are kept, so a run that follows has them.

    Raises:
        ConfigError, DataError: as `bn_ablate.run` does.
    """
    from bn_ablate.engine import Engine

    layout = settle(None, asked)
    engine = Engine.on(layout.machine, data_of(plan, None, data_dir))
    by_program: dict[int, list[Shard]] = {}
    for shard in layout.shards(plan, frozenset(), engine.dataset.extent):
        by_program.setdefault(id(shard.group), []).append(shard)
    return Times(
        sum(len(shards) * _of_shard(engine, shards[0], seconds) for shards in by_program.values()),
        engine.timing.compile_seconds,
    )


def _of_shard(engine: Engine, shard: Shard, enough: float) -> float:
    """Seconds that all steps and measurements of `shard` take."""
    seen: list[tuple[int, float]] = []

    def on_progress(progress: Progress) -> None:
        seen.append((progress.lane_steps, progress.seconds))
        if progress.seconds >= enough:
            raise _EnoughError

    try:
        engine.run(shard, on_progress)
    except _EnoughError:
        pass
    else:
        return seen[-1][1]
    settings = shard.cells[0].settings
    steps = len(shard.lane_ids) * settings.train.steps
    measurements = 1 + -(-settings.train.steps // settings.measure.every)
    return extrapolated(seen, steps, measurements)


def extrapolated(seen: list[tuple[int, float]], steps: int, measurements: int) -> float:
    """Seconds for so many lane-steps and measurements, from (lane-steps, seconds) after each stretch of a trial.

    The first stretch begins with a measurement; what it took beyond its steps, at the usual speed of all others, is
    that measurement's. A trial that ended in its first stretch counts it all as steps.
    """
    first_steps, first_seconds = seen[0]
    speeds = [(t - before_t) / (n - before_n) for (before_n, before_t), (n, t) in pairwise(seen)]
    if not speeds:
        return steps * first_seconds / first_steps
    a_step = median(speeds)
    return steps * a_step + measurements * max(0.0, first_seconds - first_steps * a_step)
