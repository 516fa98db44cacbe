"""Everything the command line does, as calls for notebooks and scripts.

import bn_ablate as bn

study = bn.load_study("configs/smoke.toml", ["seeds=3"])
plan = bn.make_plan(study)
results = bn.run(plan, "results")
results.lanes                                    # a polars data frame
lane = bn.train_lane(study, {"placement": "pre", "activation": "relu"}, seed=0)
lane.state.params, lane.batch_indices, lane.noise(step=17)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bn_ablate.config import Study, base_settings
from bn_ablate.plan import Cell, Plan, canonical_json, make_plan

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bn_ablate.data import Dataset, Split
    from bn_ablate.engine.train import TrainState
    from bn_ablate.results import Results

Strategy = Literal["auto", "vmap", "map"]
MANIFEST_FORMAT = 1


class RunProgress(NamedTuple):
    """Where a run stands.

    Attributes:
        lanes: lanes finished, those of earlier runs included.
        lanes_planned: lanes of the plan.
        lane_steps: training steps done in this run, over all lanes.
        lane_steps_planned: those that this run has to do.
        seconds: spent on training in this run.
        diverged: lanes that diverged in this run.
    """

    lanes: int
    lanes_planned: int
    lane_steps: int
    lane_steps_planned: int
    seconds: float
    diverged: int


def run(
    study: Study | Plan,
    results: str | Path = "results",
    *,
    strategy: Strategy = "auto",
    lanes_per_shard: int = 256,
    data_dir: Path | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
) -> Results:
    """Train every lane of `study` that `results/<study>/` does not hold yet, and publish the tables.

    Finished shards are stored as they come, so that what is done stays done, whatever happens next; when the run is
    interrupted, the tables of what is finished are published before the exception goes on.

    Raises:
        ConfigError: the settings do not fit together.
        DataError: the data set is not there, or cannot be divided as the study says.
        ResultsError: the results folder cannot be written to, or a finished shard is damaged.
    """
    from bn_ablate.data import load
    from bn_ablate.engine import Engine, Progress, shards_of
    from bn_ablate.results import Store, open_results
    from bn_ablate.results.frames import tables_of

    plan = study if isinstance(study, Plan) else make_plan(study)
    dataset = load(plan.study.data.name, data_dir)
    store = Store(Path(results) / plan.study.name)
    store.open()
    shards = shards_of(plan, store.finished(), lanes_per_shard)
    if not shards and (published := _published(store.path, plan)):
        return published
    engine = Engine(dataset, strategy)
    manifest = _manifest(plan, dataset, store.path)
    store.write_manifest(manifest)
    todo = sum(len(shard.lane_ids) * shard.cells[0].settings.train.steps for shard in shards)
    lanes = plan.n_lanes - sum(len(shard.lane_ids) for shard in shards)
    diverged = 0

    def report(progress: Progress) -> None:
        if on_progress:
            steps = engine.timing.lane_steps + progress.lane_steps
            seconds = engine.timing.train_seconds + progress.seconds
            on_progress(RunProgress(lanes, plan.n_lanes, steps, todo, seconds, diverged + progress.diverged))

    status = "interrupted"
    try:
        for shard in shards:
            outcome = engine.run(shard, report)
            store.add_shard(shard.id, tables_of(outcome))
            lanes += len(shard.lane_ids)
            diverged += int((outcome.diverged_at >= 0).sum())
            report(Progress(0, 0.0, 0))
        status = "complete"
    finally:
        store.publish(plan, manifest | _afterwards(engine, status, manifest))
    return open_results(store.path)


@dataclass(frozen=True)
class TrainedLane:
    """One lane, trained alone, with all that is needed to rebuild it in another framework.

    Attributes:
        cell: its levels and settings.
        seed: its seed.
        state: parameters, moving statistics and optimizer state at the end.
        initial: the same before the first step.
        split: indices of its training, validation and test examples in the data set.
        batch_indices: (steps, batch) positions into the training split.
        tables: its `lanes`, `history`, `layers` and `histograms`.
    """

    cell: Cell
    seed: int
    state: TrainState
    initial: TrainState
    split: Split
    batch_indices: np.ndarray
    tables: dict[str, pl.DataFrame]
    _noise_shape: tuple[int, ...]

    def noise(self, step: int) -> np.ndarray:
        """The 16-bit random numbers behind the dropout masks of one step, (depth, batch, width).

        A unit is kept where its number reaches round(65536 · rate), and then divided by 1 − that share.
        """
        import jax.numpy as jnp
        import numpy as np

        from bn_ablate.engine.randomness import dropout_bits

        return np.asarray(dropout_bits(jnp.int32(self.seed), jnp.int32(step), self._noise_shape))


def train_lane(
    study: Study,
    levels: dict[str, Any] | None = None,
    seed: int = 0,
    *,
    strategy: Strategy = "auto",
    data_dir: Path | None = None,
) -> TrainedLane:
    """Train one lane of `study`, at `levels` of any factors (the study's own settings stand for the rest), by itself.

    Raises:
        ConfigError: a factor or a level is not one.
        DataError: the data set is not there, or cannot be divided as the study says.
    """
    import jax
    import jax.numpy as jnp

    from bn_ablate.config import build_study
    from bn_ablate.data import batch_indices, draw_split, load
    from bn_ablate.engine import Engine, Shard
    from bn_ablate.engine.program import program_of
    from bn_ablate.engine.train import init_state
    from bn_ablate.results.frames import tables_of

    table = json.loads(study.model_dump_json(exclude={"axes", "exclude", "hypotheses"}))
    alone = build_study(table | {"axes": {axis: [level] for axis, level in (levels or {}).items()}}, source=study.name)
    (cell,) = make_plan(alone).cells
    dataset = load(alone.data.name, data_dir)
    outcome = Engine(dataset, strategy).run(Shard((cell,), (cell,), (seed,), 1), keep_states=True)
    program = program_of([cell.settings], dataset.n_classes)
    split = draw_split(dataset, alone.data, seed)
    return TrainedLane(
        cell=cell,
        seed=seed,
        state=jax.tree.map(lambda leaf: leaf[0, 0], outcome.states),
        initial=init_state(program, dataset.images.shape[1:], jnp.int32(seed)),
        split=split,
        batch_indices=batch_indices(len(split.train), program.batch_size, seed, 0, program.steps),
        tables=tables_of(outcome),
        _noise_shape=program.network.noise_shape(program.batch_size),
    )


def _published(path: Path, plan: Plan) -> Results | None:
    """The results at `path`, if they are complete, undamaged, and say exactly what `plan` would."""
    from bn_ablate.results import ResultsError, open_results

    try:
        results = open_results(path)
        same = results.manifest["config"] == _config(plan) and results.manifest["status"] == "complete"
        whole = all(table.height for table in (results.history, results.layers, results.histograms))
        return results if same and whole and results.lanes.height == plan.n_lanes else None
    except (ResultsError, KeyError):
        return None


def _config(plan: Plan) -> dict[str, Any]:
    return dict(json.loads(plan.study.model_dump_json()))


def _manifest(plan: Plan, dataset: Dataset, path: Path) -> dict[str, Any]:
    """What is known before training."""
    import jax

    from bn_ablate.data import draw_split
    from bn_ablate.results.provenance import now, provenance, sha256_text

    config = _config(plan)
    split = draw_split(dataset, base_settings(plan.study).data, plan.seeds[0])
    return {
        "format": MANIFEST_FORMAT,
        "study": plan.study.name,
        "status": "running",
        "config": config,
        "config_sha256": sha256_text(canonical_json(config)),
        "plan": {
            "axes": {axis: list(levels) for axis, levels in plan.study.axes.items()},
            "cells": len(plan.cells),
            "lanes": plan.n_lanes,
            "programs": len(plan.groups),
        },
        "seeds": list(plan.seeds),
        "data": {
            "name": dataset.name,
            "version": dataset.version,
            "sha256": dataset.sha256,
            "sizes": {part: len(indices) for part, indices in split._asdict().items()},
        },
        "device": {
            "platform": jax.default_backend(),
            "kind": jax.local_devices()[0].device_kind,
            "count": jax.local_device_count(),
        },
        "created": now(),
        **provenance(),
    }


def _afterwards(engine: Any, status: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """What is known after training."""
    from bn_ablate.engine.devices import peak_memory_bytes
    from bn_ablate.results.provenance import now

    timing = engine.timing
    return {
        "status": status,
        "strategy": engine.strategy,
        "programs": timing.programs,
        "timing": {
            "compile_seconds": round(timing.compile_seconds, 3),
            "train_seconds": round(timing.train_seconds, 3),
            "lane_steps": timing.lane_steps,
        },
        "peak_memory_bytes": peak_memory_bytes(),
        "finished": now(),
    }
