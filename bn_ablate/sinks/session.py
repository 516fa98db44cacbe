"""The one place that talks to wandb: silent, without a prompt, and never longer than its timeouts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from bn_ablate.config.quantity import quantity
from bn_ablate.sinks.content import Artifact, Histogram, RunContent
from bn_ablate.sinks.setup import environment, own_project, refuse_sweep, run_settings
from bn_ablate.sinks.sink_error import SinkError, calling_wandb, failure

if TYPE_CHECKING:
    import wandb

RUNS_AT_ONCE = 8
"""Runs whose last data are under way at the same time; most of an online run's time is waiting for answers."""

DEFAULT_PROJECT = "bn_ablate"

LAYERS = "layers/"
"""What the keys of measures by layer begin with."""

ARTIFACT_TYPE = "results"

MEDIA_HASH = "media_sha256"
"""The summary key that tells which tables, images and pages a run shows."""

OFFLINE = r"offline-run-\d+_\d+-(.+?)(?:-\d{1,3})?"
"""The name of an offline folder: a time, the id of its run, and a number where these two were taken."""

UPLOAD_FAILED = "Fatal error while uploading"
"""What wandb warns of, without raising anything, when the server refuses a run's data for good."""


@dataclass(frozen=True)
class Session:
    """The wandb of one results folder.

    Offline runs lie in `<results>/wandb/`. Online, what wandb writes to disk goes to `scratch`: it is of no use
    afterwards, since the store has it all.
    """

    results: Path
    mode: Literal["online", "offline"]
    project: str
    entity: str | None
    scratch: Path
    pool: ThreadPoolExecutor
    warnings: list[str]

    @property
    def folder(self) -> Path:
        """Where offline runs and the record of what was sent lie."""
        return self.results / "wandb"

    def locate(self, content: RunContent) -> tuple[str, str | None]:
        """A name for where this session's runs go, and the address of the run of `content` there.

        Online it opens that run: this shows, before anything else is sent, that the server answers and takes the key.
        """
        if self.mode == "offline":
            with self._sending():
                self.folder.mkdir(exist_ok=True)
            return f"offline {self.entity or ''}/{self.project}", None
        run = self._open(content)
        found = f"{run.settings.base_url} {run.entity}/{run.project}", run.url
        self._finish(run)
        return found

    def keeps(self, folder: str) -> bool:
        """Whether a run that was sent is still there: offline, in its `folder`; online, nothing is asked."""
        return self.mode == "online" or (bool(folder) and (self.folder / folder).is_dir())

    def send(self, content: RunContent) -> Future[str]:
        """Write or send the run of `content`, in place of what there may be.

        The result, the name of its offline folder if any, is there once everything has arrived.
        """
        if self.mode == "offline":
            for old in self._earlier.pop(content.id, ()):
                shutil.rmtree(old)
        run = self._open(content)
        try:
            with self._sending():
                _fill(run, content)
        except BaseException:
            self._finish(run, exit_code=1)
            raise
        return self.pool.submit(self._finish, run)

    @cached_property
    def _earlier(self) -> dict[str, list[Path]]:
        """The offline folders that were there before, by the id of their run: listed once, for there may be many."""
        found: dict[str, list[Path]] = {}
        for folder in self.folder.iterdir():
            if named := re.fullmatch(OFFLINE, folder.name):
                found.setdefault(named[1], []).append(folder)
        return found

    def follow(self, content: RunContent, points: Iterable[dict[str, Any]], live: str) -> None:
        """Open the run of `content` and log `points` as they come; keys that begin with `live` are charted over steps.

        W&B's system metrics of this machine go with them. The run is finished when the points end, and marked as
        failed when they end in an exception.
        """
        run = self._open(content, system_metrics=True)
        exit_code = 1
        try:
            with self._sending():
                run.define_metric(f"{live}lane_steps", hidden=True)
                run.define_metric(f"{live}*", step_metric=f"{live}lane_steps")
                run.summary.update(content.summary)
                for point in points:
                    run.log(point)
            exit_code = 0
        finally:
            self._finish(run, exit_code)

    def _open(self, content: RunContent, *, system_metrics: bool = False) -> wandb.Run:
        import wandb

        with self._sending():
            return wandb.init(
                mode=self.mode,
                project=self.project,
                entity=self.entity,
                dir=self.results if self.mode == "offline" else self.scratch,
                id=content.id,
                name=content.name,
                group=content.group,
                job_type=content.job_type,
                tags=content.tags,
                notes=content.notes,
                config=content.config,
                resume=None if self.mode == "offline" else "allow",
                reinit="create_new",
                settings=run_settings(system_metrics),
            )

    def _finish(self, run: wandb.Run, exit_code: int = 0) -> str:
        """Wait until all data of `run` have arrived; return the name of its offline folder, if any."""
        folder = Path(run.settings.sync_dir)
        with self._sending():
            run.finish(exit_code)
        if failed := next((warning for warning in self.warnings if UPLOAD_FAILED in warning), None):
            raise failure(failed, self.results)
        if self.mode == "offline":
            return folder.name
        shutil.rmtree(folder, ignore_errors=True)
        return ""

    def _sending(self) -> AbstractContextManager[None]:
        """The door to wandb, where what goes wrong means that not everything arrives."""
        return calling_wandb(lambda error: failure(error, self.results))


@contextmanager
def open_session(
    results: Path,
    mode: Literal["online", "offline"],
    project: str | None,
    entity: str | None,
    warnings: list[str],
    *,
    sweep: bool = False,
) -> Iterator[Session]:
    """A session; when the block ends, every run that was opened in it is finished.

    With `sweep` it is for the one run that a W&B agent has opened for this process.

    Raises:
        SinkError: something went wrong in it, or this process belongs to a sweep and `sweep` is false.
    """
    import wandb
    from wandb.sdk.wandb_setup import singleton

    if not sweep:
        refuse_sweep()
    project = project or own_project() or DEFAULT_PROJECT
    try:
        with (
            TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
            environment("WANDB_DATA_DIR", scratch if mode == "online" else str(results.resolve() / "wandb" / "data")),
            ThreadPoolExecutor(RUNS_AT_ONCE) as pool,
        ):
            yield Session(results, mode, project, entity, Path(scratch), pool, warnings)
    except SinkError:
        # wandb does not let go of a run that it could not open, nor of a key that was refused, until it starts anew
        if singleton().most_recent_active_run is None:
            with suppress(Exception, SystemExit):  # it exits where its service has crashed
                wandb.teardown()
        raise


def _fill(run: wandb.Run, content: RunContent) -> None:
    """Log what `run` does not have yet, and bring its summary up to date."""
    if content.history:
        run.define_metric("step", hidden=True)
        for metric in dict.fromkeys(key for point in content.history for key in point if key != "step"):
            if not metric.startswith(LAYERS):
                run.define_metric(metric, step_metric="step", summary=summary_of(metric))
        run.define_metric(f"{LAYERS}*", step_metric="step", summary="none")
    for point in content.history:
        if point["step"] >= run.starting_step:
            run.log(point | _histograms(content.histograms.get(point["step"], {})), step=point["step"])
    if media := _media(content):
        if dict(run.summary).get(MEDIA_HASH) == content.sha256:
            run.summary.update(media)  # they were sent, perhaps not to the end; a point of history would double them
        else:
            run.log(media)
        run.summary[MEDIA_HASH] = content.sha256
    run.summary.update(content.summary)
    if content.artifact:
        run.log_artifact(_artifact(content.artifact))


def summary_of(metric: str) -> Literal["min", "max", "none"]:
    """What W&B adds to the summary by itself: the best of a curve.

    Nothing for test data, which only report: a minimum would select by them.
    """
    of = quantity(metric.rpartition("/")[2])
    best = {"lower": "min", "higher": "max", None: "none"}
    return "none" if of.part == "test" else best[of.better]  # type: ignore[return-value]


def _artifact(artifact: Artifact) -> wandb.Artifact:
    """The artifact; its files stay where they are, and nothing is copied to W&B's own folders."""
    import wandb

    made = wandb.Artifact(artifact.name, type=ARTIFACT_TYPE, metadata=artifact.metadata)
    for name, file in artifact.files.items():
        made.add_file(str(file.resolve()), name, skip_cache=True, policy="immutable")
    return made


def _histograms(histograms: Mapping[str, Histogram]) -> dict[str, Any]:
    import numpy as np
    import wandb

    counted = {key: (np.asarray(of.counts), np.asarray(of.edges)) for key, of in histograms.items()}
    return {key: wandb.Histogram(np_histogram=both) for key, both in counted.items()}


def _media(content: RunContent) -> dict[str, Any]:
    import wandb

    tables = {
        key: wandb.Table(columns=[*table.columns], data=table.rows, allow_mixed_types=True)
        for key, table in content.tables.items()
    }
    images = {key: wandb.Image(str(file)) for key, file in content.images.items()}
    pages = {key: wandb.Html(str(file), inject=False) for key, file in content.pages.items()}
    return tables | images | pages
