"""A study from its file to data frames: what `bn-ablate run` does, as a call for notebooks and scripts.

import bn_ablate as bn

study = bn.load_study("configs/smoke.toml", ["seeds=3"])
results = bn.run(study, "results")
results.lanes  # a polars data frame
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from bn_ablate.config import ConfigError, Problem, Study
from bn_ablate.config.extensions import require, sources
from bn_ablate.config.given import one_word, place, whole_number
from bn_ablate.config.names import AUGMENTATIONS
from bn_ablate.plan import Part, Plan, RunProgress, first_look, make_plan, portion
from bn_ablate.runs.bar import progress_bar
from bn_ablate.runs.layout import Asked, Strategy
from bn_ablate.runs.looking import LookTaken, looked, looks_of
from bn_ablate.runs.statement import beforehand, config_of
from bn_ablate.runs.task import Task
from bn_ablate.runs.training import Crew, Here

if TYPE_CHECKING:
    from bn_ablate.analysis.judged import JudgedResults
    from bn_ablate.config.architectures import Extent
    from bn_ablate.data import Dataset
    from bn_ablate.plan.memory import Machine
    from bn_ablate.results import Held, Results, Store
    from bn_ablate.results.reuse import Old

BETWEEN = "between looks"
"""The status of results whose lanes are trained and whose next look is not."""


def run(
    study: Study | Plan,
    results: str | Path = "results",
    *,
    strategy: Strategy = "auto",
    at_once: int | None = None,
    memory: int | None = None,
    part: tuple[int, int] | None = None,
    crew: Crew | None = None,
    data: Dataset | None = None,
    data_dir: Path | None = None,
    on_progress: Callable[[RunProgress], None] | None = None,
    on_look: Callable[[LookTaken], None] = lambda taken: None,
    progress: bool = True,
    old: Old = "refuse",
    like: Sequence[Held] = (),
) -> JudgedResults:
    """Train every lane of `study` that `results/<study>/` does not hold yet, and publish the tables.

    Finished shards are stored as they come, and the state of a long one every now and then, so that what is done stays
    done, whatever happens next; when the run is interrupted, as by an exception of `on_progress`, the tables of what is
    finished are published before it is raised again. Lanes are trained in shards that fit into `memory` bytes; when
    not given, half of what the machine, or its accelerator, has. Where that does not suffice, shards are halved.
    With strategy `map`, `at_once` lanes go through a step together on each device. What is decided of this when the
    study is begun is stored, and holds for those who resume it, if they do not ask for something else.

    While it trains, a bar shows how far it is, in a terminal or a notebook; not with `progress=False`. `on_progress` is
    called with the same after every segment, wherever it runs.

    Of a `part`, as `(1, 3)` for the first of three, the lanes of that part alone are trained, into the folder
    `results/<study>.part-1-of-3/`; `bn_ablate.merge` puts parts together. A `crew` trains the shards in place of this
    process, as that of `bn_ablate.runs.on_ray` does.

    With seeds until decided, all cells are trained for the first look, and those of open hypotheses for each look after
    it; `on_look` is called with what came of each.

    The data set is that of `data.name`, or `data`, as of `Dataset.from_arrays`, whose name the study then takes.

    What is stored of the study is held to the code, versions and data of now. Lanes of other code or versions end the
    run before it trains, unless `old` says to `retrain` them or to `keep` them, which the manifest then records; lanes
    of other data are never kept. Lanes that are in a finished shard of `like`, elsewhere, are trained in its shapes and
    its way.

    Raises:
        ConfigError: the settings do not fit together, the data set is unknown or cannot be divided as they say, an
            extension that they use was not loaded, or an argument is not one.
        DataError: the data set cannot be had, or is damaged.
        ResultsError: the results folder cannot be written to, is at work for another process, lies within another, a
            finished shard is damaged, or there are lanes of other data, code or versions.
        DeviceError: memory does not suffice for a single lane, or the device does not compute what the CPU computes.

    Examples:
        >>> results = bn.run(bn.load_study("my.toml"), "results")
        >>> results.lanes.select("learning_rate", "seed", "status").rows()
        [(0.01, 0, 'ok'), (0.01, 1, 'ok'), (0.1, 0, 'ok'), (0.1, 1, 'ok')]
    """
    from bn_ablate.analysis.judged import judged
    from bn_ablate.results import Store, open_results, refuse_inside

    plan = plan_for(study, data, data_dir)
    require(plan.study)
    one_word("strategy", strategy, get_args(Strategy))
    one_word("old", old, ("refuse", "retrain", "keep"))
    at_once = None if at_once is None else whole_number("at_once", at_once)
    memory = None if memory is None else whole_number("memory", memory)
    results = place(results)
    refuse_inside(results)
    mine, folder = first_look(plan), results / plan.study.name
    if part:
        mine, folder = portion(plan, Part(*part)), results / Part(*part).folder(plan.study.name)
    dataset, crew = data_of(plan, data, data_dir), crew or Here()
    here = crew.begin(mine, dataset, folder, Asked(strategy, at_once, memory))
    store = Store(folder, here, old)
    mine, final = looked(mine, store, on_look)
    used = store.usable(mine)
    if len(used) == mine.n_lanes and (published := _published(store, plan, mine, used)):
        if store.littered():
            with store.alone():
                pass
        return judged(published)
    manifest = beforehand(plan, dataset) | crew.facts() | {"layout": crew.layout.described}
    if part:
        manifest["part"] = Part(*part)._asdict()
    with store.alone(), progress_bar(progress) as show:

        def report(now: RunProgress) -> None:
            show(now)
            if on_progress:
                on_progress(now)

        store.keep_extensions(sources(plan.study))
        notes = list[str]()
        while True:
            status = "complete" if final else BETWEEN
            crew.train(Task(mine, store, manifest | looks_of(mine), like, report, status, notes))
            if final:
                break
            mine, final = looked(mine, store, on_look)
    return judged(open_results(store.path))


class Expected(NamedTuple):
    """What a run is expected to take: bytes of memory, shards, and bytes of disk, at most.

    Attributes:
        streamed: bytes of the images, where they are read in blocks as they are needed; else 0.
    """

    memory: int
    shards: int
    disk: int
    streamed: int = 0


def expected(plan: Plan, machine: Machine, data_dir: Path | None = None) -> Expected:
    """What a run of `plan` on `machine` is expected to take, with the images and examples of its data set.

    Raises:
        ConfigError: there is no data set of that name, or a network does not take its images.
        DataError: it cannot be had, or is damaged.
    """
    from bn_ablate.data import extent_of
    from bn_ablate.plan.disk import disk_bytes
    from bn_ablate.plan.memory import count_shards, estimate_bytes, resident_bytes, streams

    with _named(plan.study):
        extent = extent_of(plan.study.data.name, data_dir)
        _check_networks(plan, plan.study.data.name, extent)
        _check_augmentations(plan, plan.study.data.name, extent)
        shards = count_shards(plan, machine, extent)
        streamed = resident_bytes(extent, 0) if streams(extent, machine) else 0
        return Expected(estimate_bytes(plan, machine, extent), shards, disk_bytes(plan, shards, extent), streamed)


@contextmanager
def _named(study: Study) -> Iterator[None]:
    """Turn what is wrong with the study's settings of its data into a `ConfigError`."""
    from bn_ablate.data import DataSettingError

    try:
        yield
    except DataSettingError as error:
        raise ConfigError(study.name, [Problem(error.key, str(error))]) from None


def plan_for(study: Study | Plan, data: Dataset | None, data_dir: Path | None = None) -> Plan:
    """The plan of `study`, on `data` where that is given.

    Raises:
        ConfigError: the settings do not fit together, or a plan is one for other data.
        DataError: epochs are to be counted of data that cannot be had.
    """
    if isinstance(study, Plan):
        if data and study.study.data.name != data.name:
            problem = Problem("data", f"is {data.name!r}, and the plan is one for {study.study.data.name!r}")
            raise ConfigError(study.study.name, [problem])
        return study
    if data:
        study = study.model_copy(update={"data": study.data.model_copy(update={"name": data.name})})
    return make_plan(with_epochs_counted(study, data, data_dir))


def with_epochs_counted(study: Study, data: Dataset | None = None, data_dir: Path | None = None) -> Study:
    """`study`, which says its number of training examples where it counts epochs of all that are left.

    Raises:
        ConfigError: there is no data set of that name.
        DataError: it cannot be had.
    """
    if study.train.epochs is None or study.data.n_train is not None or "n_train" in study.axes:
        return study
    from bn_ablate.data import extent_of, load, sizes_of

    settings = study.data
    with _named(study):
        if data is None and settings.split != "official":
            n = n_own_train = extent_of(settings.name, data_dir).examples
        else:
            dataset = data or load(settings.name, data_dir)
            n, n_own_train = len(dataset.labels), dataset.n_official_train
    n_train = max(1, sizes_of(settings, n, n_own_train).train)
    return study.model_copy(update={"data": settings.model_copy(update={"n_train": n_train})})


def data_of(plan: Plan, data: Dataset | None, data_dir: Path | None) -> Dataset:
    """The data set of `plan`, which can be divided as each of its groups asks: found out before anything is written.

    Raises:
        ConfigError: there is none of that name, or it cannot be divided so.
        DataError: it cannot be had, or is damaged.
    """
    from bn_ablate.data import draw_split, load

    with _named(plan.study):
        dataset = data or load(plan.study.data.name, data_dir)
        _check_networks(plan, dataset.name, dataset.extent)
        _check_augmentations(plan, dataset.name, dataset.extent)
        for settings in dict.fromkeys(group.settings.data for group in plan.groups):
            draw_split(dataset, settings, plan.seeds[0])
    return dataset


def _check_networks(plan: Plan, name: str, extent: Extent) -> None:
    """Refuse networks that do not take such images: vectors are images of one pixel."""
    from bn_ablate.data import DataSettingError

    for model in dict.fromkeys(group.settings.model for group in plan.groups):
        try:
            layout = model.layout(extent.image, extent.classes)
        except ValueError as error:
            said = f"= {model.architecture} does not take the images of {name}: {error}"
            raise DataSettingError(said, "model.architecture") from None
        if extent.vectors and not layout.flat:
            said = f"= {model.architecture} takes images, and {name} holds vectors; an mlp takes them"
            raise DataSettingError(said, "model.architecture")
    for lane in dict.fromkeys(cell.settings for group in plan.groups for cell in group.cells):
        for problem in lane.misfits(lane.model.layout(extent.image, extent.classes), entry=True):
            raise DataSettingError(problem.message, problem.key)


def _check_augmentations(plan: Plan, name: str, extent: Extent) -> None:
    """Refuse augmentations of ours that such images leave no room for."""
    from bn_ablate.data import DataSettingError

    height, width, _ = extent.image
    for data in dict.fromkeys(group.settings.data for group in plan.groups):
        if data.augment in AUGMENTATIONS.own[1:] and extent.vectors:
            said = f"= {data.augment} is for images, and {name} holds vectors"
            raise DataSettingError(said, "data.augment")
        most = min(height, width) - 1
        if most and (size := data.pixels(height)) > most:
            said = f"= {size} is too large for the images of {name}, which are {height} × {width}: {most} is the most"
            raise DataSettingError(said, "data.augment_size")


def _published(store: Store, plan: Plan, mine: Plan, used: dict[str, Held]) -> Results | None:
    """The results in `store`, if they are whole and say of `plan` what its part `mine`, in the shards `used`, would."""
    from bn_ablate.results import ResultsError, open_results
    from bn_ablate.results.origins import origins_of

    try:
        results = open_results(store.path)
        origins, _ = origins_of(used, {lane.id: lane.seed for lane in mine.rows}, store.here)
        said = {key: results.manifest[key] for key in ("config", "status", "origins")}
        same = said == {"config": config_of(plan), "status": "complete", "origins": origins}
        whole = all(results.scan(table).head(1).collect().height for table in ("history", "layers", "histograms"))
        return results if same and whole and results.lanes.height == mine.n_rows else None
    except (ResultsError, KeyError):
        return None
