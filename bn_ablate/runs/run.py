"""A study from its file to data frames: what `bn-ablate run` does, as a call for notebooks and scripts.

import bn_ablate as bn

study = bn.load_study("configs/smoke.toml", ["seeds=3"])
results = bn.run(study, "results")
results.lanes  # a polars data frame
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from bn_ablate.config import ConfigError, LaneSettings, Problem, Study, base_settings
from bn_ablate.config.given import one_word, place, whole_number
from bn_ablate.plan import Cell, Plan, RunProgress, canonical_json, make_plan

if TYPE_CHECKING:
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Engine, Shard
    from bn_ablate.plan.memory import Machine
    from bn_ablate.results import Held, Results, Store
    from bn_ablate.results.origins import Old

Strategy = Literal["auto", "vmap", "map"]


def run(
    study: Study | Plan,
    results: str | Path = "results",
    *,
    strategy: Strategy = "auto",
    at_once: int = 1,
    memory: int | None = None,
    data: Dataset | None = None,
    data_dir: Path | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
    old: Old = "refuse",
    like: Sequence[Held] = (),
) -> Results:
    """Train every lane of `study` that `results/<study>/` does not hold yet, and publish the tables.

    Finished shards are stored as they come, and the state of a long one every now and then, so that what is done stays
    done, whatever happens next; when the run is interrupted, as by an exception of `on_progress`, the tables of what is
    finished are published before the exception goes on. Lanes are trained in shards that fit into `memory` bytes; when
    not given, half of what the machine, or its accelerator, has. Where that does not suffice, shards are halved.
    With strategy `map`, `at_once` lanes go through a step together on each device.

    The data set is that of `data.name`, or `data`, as of `Dataset.from_arrays`, whose name the study then takes.

    What is stored of the study is held to the code, versions and data of now. Lanes of other code or versions end the
    run before it trains, unless `old` says to `retrain` them or to `keep` them, which the manifest then records; lanes
    of other data are never kept. Lanes that are in a finished shard of `like`, elsewhere, are trained in its shapes and
    its way.

    Raises:
        ConfigError: the settings do not fit together, the data set is unknown or cannot be divided as they say, or an
            argument is not one.
        DataError: the data set cannot be had, or is damaged.
        ResultsError: the results folder cannot be written to, is at work for another process, lies within another, a
            finished shard is damaged, or there are lanes of other data, code or versions.
        DeviceError: memory does not suffice for a single lane, or the device does not compute what the CPU computes.
    """
    from bn_ablate.engine import Engine, ensure_checked
    from bn_ablate.results import Store, locked, open_results, refuse_inside
    from bn_ablate.results.provenance import provenance_of

    plan = plan_for(study, data)
    one_word("strategy", strategy, get_args(Strategy))
    one_word("old", old, ("refuse", "retrain", "keep"))
    at_once = whole_number("at_once", at_once)
    memory = None if memory is None else whole_number("memory", memory)
    results = place(results)
    refuse_inside(results)
    engine = Engine(_data_of(plan, data, data_dir), strategy, at_once=at_once)
    store = Store(results / plan.study.name, provenance_of(engine), old)
    used = store.usable(plan)
    if len(used) == plan.n_lanes and (published := _published(store, plan, used)):
        if store.littered():
            with locked(store.path):
                store.open()
        return published
    manifest = _manifest(plan, engine.dataset)
    if check := ensure_checked(engine):
        manifest["device"] |= {"check": check._asdict()}
    with locked(store.path):
        store.open()
        _train(plan, store, engine, memory, manifest, like, on_progress)
    return open_results(store.path)


def expected_bytes(plan: Plan, machine: Machine, data_dir: Path | None = None) -> int:
    """The memory that a run of `plan` on `machine` is expected to take, with the images and examples of its data set.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: it cannot be had, or is damaged.
    """
    from bn_ablate.data import extent_of
    from bn_ablate.plan.memory import estimate_bytes

    with _named(plan):
        return estimate_bytes(plan, machine, *extent_of(plan.study.data.name, data_dir))


@contextmanager
def _named(plan: Plan) -> Iterator[None]:
    """Turn what is wrong with the study's settings of its data into a `ConfigError`."""
    from bn_ablate.data import DataSettingError

    try:
        yield
    except DataSettingError as error:
        raise ConfigError(plan.study.name, [Problem(error.key, str(error))]) from None


def plan_for(study: Study | Plan, data: Dataset | None) -> Plan:
    """The plan of `study`, on `data` where that is given.

    Raises:
        ConfigError: the settings do not fit together, or a plan is one for other data.
    """
    if isinstance(study, Plan):
        if data and study.study.data.name != data.name:
            problem = Problem("data", f"is {data.name!r}, and the plan is one for {study.study.data.name!r}")
            raise ConfigError(study.study.name, [problem])
        return study
    if data:
        study = study.model_copy(update={"data": study.data.model_copy(update={"name": data.name})})
    return make_plan(study)


def _data_of(plan: Plan, data: Dataset | None, data_dir: Path | None) -> Dataset:
    """The data set of `plan`, which can be divided as each of its groups asks: found out before anything is written.

    Raises:
        ConfigError: there is none of that name, or it cannot be divided so.
        DataError: it cannot be had, or is damaged.
    """
    from bn_ablate.data import DataSettingError, draw_split, load

    with _named(plan):
        dataset = data or load(plan.study.data.name, data_dir)
        if dataset.holds_vectors and (needing := {g.settings.model.architecture for g in plan.groups} - {"mlp"}):
            said = f"= {min(needing)} takes images, and {dataset.name} holds vectors; an mlp takes them"
            raise DataSettingError(said, "model.architecture")
        for settings in dict.fromkeys(group.settings.data for group in plan.groups):
            draw_split(dataset, settings, plan.seeds[0])
    return dataset


def _train(
    plan: Plan,
    store: Store,
    engine: Engine,
    memory: int | None,
    manifest: dict[str, Any],
    like: Sequence[Held],
    on_progress: Callable[[RunProgress], None] | None,
) -> None:
    """Train what the open `store` lacks of `plan`, and publish the tables, whatever happens."""
    from bn_ablate.engine import Progress, shards_of
    from bn_ablate.plan.memory import lanes_that_fit
    from bn_ablate.results import Checkpoints
    from bn_ablate.results.origins import CLAIMED, Record, said_of
    from bn_ablate.results.recording.frames import tables_of

    assert store.here is not None
    used = store.usable(plan)
    origin = Record(store.here, {}, {key: manifest[key] for key in CLAIMED if key in manifest})
    manifest = said_of(manifest, [*(shard.record for shard in used.values()), origin])
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        store.write_manifest(manifest | {"notes": notes})

    machine = engine.machine(memory)
    n_seeds = len((plan.whole or plan).seeds if machine.together else plan.seeds)

    def room(settings: LaneSettings) -> int:
        return lanes_that_fit(settings, n_seeds, machine, *engine.dataset.extent)

    store.write_manifest(manifest)
    checkpoints = Checkpoints(store.path, store.here, note)
    shapes = [said for shard in like if (said := shard.described)]
    work = shards_of(plan, used.keys(), room, as_whole=machine.together, begun=checkpoints.laid_out(), like=shapes)
    checkpoints.lay_out([shard.described for shard in work])
    todo = sum(len(shard.lane_ids) * shard.cells[0].settings.train.steps for shard in work)
    lanes = plan.n_lanes - sum(len(shard.lane_ids) for shard in work)
    diverged = 0

    def report(cells: tuple[Cell, ...], progress: Progress) -> None:
        if on_progress:
            steps = engine.timing.lane_steps + progress.lane_steps
            seconds = engine.timing.train_seconds + progress.seconds
            broken, left = diverged + progress.diverged, todo - engine.timing.resumed
            on_progress(RunProgress(lanes, plan.n_lanes, steps, left, seconds, broken, cells, progress.batch_loss))

    status = "interrupted"
    try:
        while work:
            checkpoint = checkpoints.of(work[0].id)
            try:
                outcome = engine.run(work[0], partial(report, work[0].cells), keeper=checkpoint)
            except (MemoryError, RuntimeError) as error:
                work = _halved(work, error)
                checkpoint.remove()
                checkpoints.lay_out([shard.described for shard in work])
                note(f"memory did not suffice for more than {len(work[0].lane_ids)} lanes at once: shards were halved")
                continue
            record = origin.of(work[0].way or engine.way, work[0])
            store.add_shard(record.name(work[0].id), tables_of(outcome), record)
            checkpoint.remove()
            lanes += len(work.pop(0).lane_ids)
            diverged += int((outcome.diverged_at >= 0).sum())
            report((), Progress(0, 0.0, 0))
        checkpoints.remove()
        store.drop_superseded()
        status = "complete"
    finally:
        store.publish(plan, manifest | _afterwards(engine, status) | {"notes": notes})


def _halved(work: list[Shard], error: Exception) -> list[Shard]:
    """`work` with the first shard in halves, since there was no memory for it, and all those of its program too.

    Raises:
        DeviceError: it is a single lane.
        Exception: `error` speaks of something else.
    """
    from bn_ablate.engine import DeviceError, out_of_memory

    first = work[0]
    if not out_of_memory(error):
        raise error
    if first.halves == (first,):
        raise DeviceError(
            "memory does not suffice for a single lane: reduce model.width, train.batch_size, measure.probe or "
            "measure.eval_batch"
        ) from error
    shape = (first.group, first.room, max(first.seed_room, len(first.seeds)))
    halves = (s.halves if (s.group, s.room, max(s.seed_room, len(s.seeds))) == shape else (s,) for s in work)
    return [shard for some in halves for shard in some]


def _published(store: Store, plan: Plan, used: dict[str, Held]) -> Results | None:
    """The results in `store`, if they are complete, undamaged, and say just what `plan` and the shards `used` would."""
    from bn_ablate.results import ResultsError, open_results
    from bn_ablate.results.origins import origins_of

    try:
        results = open_results(store.path)
        origins, _ = origins_of(used, store.here)
        said = {key: results.manifest[key] for key in ("config", "status", "origins")}
        same = said == {"config": _config(plan), "status": "complete", "origins": origins}
        whole = all(table.height for table in (results.history, results.layers, results.histograms))
        return results if same and whole and results.lanes.height == plan.n_rows else None
    except (ResultsError, KeyError):
        return None


def _config(plan: Plan) -> dict[str, Any]:
    return dict(json.loads(plan.study.model_dump_json()))


def _manifest(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """What is known before training."""
    import jax

    from bn_ablate.data import draw_split
    from bn_ablate.results.provenance import environment, now, sha256_text

    config = _config(plan)
    split = draw_split(dataset, base_settings(plan.study).data, plan.seeds[0])
    return {
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
        **({"part_of": plan.whole.study.name} if plan.whole else {}),
        **({"quick": True} if plan.quick else {}),
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
        **environment(),
    }


def _afterwards(engine: Engine, status: str) -> dict[str, Any]:
    """What is known after training."""
    from bn_ablate.engine.devices import peak_memory_bytes
    from bn_ablate.results.provenance import now

    timing = engine.timing
    return {
        "status": status,
        "programs": timing.programs,
        "timing": {
            "compile_seconds": round(timing.compile_seconds, 3),
            "train_seconds": round(timing.train_seconds, 3),
            "lane_steps": timing.lane_steps,
            "lane_steps_resumed": timing.resumed,
        },
        "peak_memory_bytes": peak_memory_bytes(),
        "finished": now(),
    }
