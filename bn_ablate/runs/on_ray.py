"""A study's shards as tasks of Ray: each is trained on one device of a cluster, and this process alone writes.

from bn_ablate.runs.on_ray import crew_on_ray

with crew_on_ray() as crew:  # or crew_on_ray("head:6379"), or RAY_ADDRESS
    results = bn.run(study, crew=crew)
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.config.errors import BnAblateError, printable
from bn_ablate.config.extensions import sources
from bn_ablate.plan import Plan, RunProgress, spread
from bn_ablate.plan.memory.host import cores
from bn_ablate.runs.layout import Asked, Layout
from bn_ablate.runs.ray_tasks import Failed, Job, Seen, added, attempt, look, train_shard

if TYPE_CHECKING:
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Shard
    from bn_ablate.engine.program import Program
    from bn_ablate.results import Provenance
    from bn_ablate.runs.task import Task

RETRIES = 3
"""How often a shard is trained again whose worker, or node, was lost."""

AHEAD = 2
"""Tasks that wait for each worker, so that none idles while a result is stored."""

SECONDS_BETWEEN = 0.5
"""How often progress is reported, and a signal noticed, while nothing comes back."""


SECONDS_TO_ANSWER = 10.0
"""How long the head of a cluster has to answer."""

NOT_JOINED = (
    "no cluster can be joined at {}; `ray start --head` starts one, and without an address (--address, RAY_ADDRESS) "
    "one is started for this run alone"
)
NOT_STARTED = "no cluster can be started here; the same command tries again, and --on here trains without Ray"


class CrewError(BnAblateError):
    """The cluster, or one of its workers, cannot do what it was asked for; the message says where, and why."""


@contextmanager
def crew_on_ray(address: str | None = None, device: str = "auto") -> Iterator[OnRay]:
    """A cluster of Ray that trains shards: that at `address` or RAY_ADDRESS, else one of this machine alone.

    One that is started here listens on loopback only, has no dashboard, and ends with the block. A task takes a GPU
    where the cluster has any and `device` does not say `cpu`, else a core.

    Raises:
        CrewError: Ray is not installed, the cluster is not there, or has no such device.
    """
    try:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray
    except ImportError:
        raise CrewError("training on Ray needs Ray, which is not installed: pip install 'bn_ablate[ray]'") from None
    address = address or os.environ.get("RAY_ADDRESS")
    ours: dict[str, Any] = {"num_cpus": cores(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    if address:
        _knock(address)
    try:
        ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **({} if address else ours))
    except Exception as error:  # of that very class where a process of Ray's does not start in time
        ray.shutdown()
        said = printable(" ".join(str(error).split()))
        raise CrewError(f"Ray: {NOT_JOINED.format(address) if address else NOT_STARTED} ({said})") from None
    try:
        yield OnRay(ray, *devices_of(ray.cluster_resources(), device))
    finally:
        ray.shutdown()


def shareable(dataset: Dataset) -> Dataset:
    """The same, whose bytes all workers of a node see in one place: what is mapped from a file each would be sent."""
    return replace(dataset, images=np.asarray(dataset.images), labels=np.asarray(dataset.labels))


def _knock(address: str) -> None:
    """Try whether anything listens at `address`: Ray would try for minutes, and write its own log meanwhile.

    Raises:
        CrewError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # a word of Ray's own, as `auto`; or what Ray refuses
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise CrewError(f"Ray: {NOT_JOINED.format(address)} ({error})") from None


def devices_of(resources: Mapping[str, float], device: str) -> tuple[str, dict[str, Any], int]:
    """The device of a cluster's tasks, what a task takes of the cluster, and how many it so has at a time.

    Raises:
        CrewError: there is none, or it has several kinds of GPU: a seed's lanes must be of one.
    """
    gpus, kinds = (
        int(resources.get("GPU", 0)),
        sorted(name for name in resources if name.startswith("accelerator_type:")),
    )
    if device not in ("auto", "cpu", "cuda"):
        raise CrewError(f"--on ray trains on cpu and cuda, and not on {device}")
    if device == "cuda" and not gpus:
        raise CrewError("the cluster of Ray has no GPU; --device cpu trains on its cores")
    if device == "cpu" or not gpus:
        return "cpu", {"num_cpus": 1}, max(1, int(resources.get("CPU", 1)))
    if len(kinds) > 1:
        names = " and ".join(kind.partition(":")[2] for kind in kinds)
        raise CrewError(
            f"the cluster of Ray has {names}: the lanes of a seed must be of one kind; join one of one kind"
        )
    return "cuda", {"num_cpus": 1, "num_gpus": 1}, gpus


class OnRay:
    """The workers of a cluster; a `runs.training.Crew`."""

    def __init__(self, ray: Any, device: str, takes: dict[str, Any], workers: int) -> None:
        self.between: Callable[[], None] = lambda: None
        self._ray = ray
        self.device = device
        self.workers = workers
        # a worker is kept for the next task, with its compiled programs
        self._task = ray.remote(**takes, max_retries=RETRIES, max_calls=0)(attempt)

    def begin(self, plan: Plan, dataset: Dataset, folder: Path, asked: Asked) -> Provenance:
        """Hand the data set to the cluster, and ask a worker what it is; it settles the layout.

        Raises:
            CrewError: the worker fails.
        """
        from bn_ablate.engine import Timing

        self._data = self._ray.put(shareable(dataset))
        self._extent, self._shape, self._classes = dataset.extent, dataset.images.shape[1:], dataset.n_classes
        job = Job(self.device, sources(plan.study), Layout.of(folder), asked, plan.study.measure.keep)
        self._spent, self._peak = Timing(), 0
        seen: Seen = self._result(self._task.remote(look, job, self._data))
        self._facts, layout = seen.facts, seen.layout
        self.layout = layout if layout.parts > 1 else layout._replace(parts=spread(plan, self.workers))
        self._job = job._replace(layout=self.layout)
        return seen.provenance

    def facts(self) -> dict[str, Any]:
        """What is to be said of the machine of the worker that was asked."""
        return self._facts

    def train(self, task: Task) -> None:
        """Train what is left of `task`, as many shards at a time as there are workers, and publish.

        Raises:
            CrewError: a task of Ray's fails; what is finished is stored.
        """
        from bn_ablate.engine import Timing
        from bn_ablate.engine.program import program_of
        from bn_ablate.results.lock import lock_text
        from bn_ablate.results.provenance import Bearing

        plan, store = task.plan, task.store
        work = task.begin(self.layout, self._extent)
        timing, peak, diverged, begun = Timing(), 0, 0, time.perf_counter()
        lanes = plan.n_lanes - sum(len(shard.lane_ids) for shard in work)
        planned = sum(len(shard.lane_ids) * shard.cells[0].settings.train.steps for shard in work)
        folder = store.path.resolve()
        job = self._ray.put(self._job._replace(origin=task.origin, folder=folder, lock=lock_text(folder)))
        pending: dict[Any, Shard] = {}
        programs: dict[int, Program] = {}

        def with_program(shard: Shard) -> Shard:
            """`shard` with its program in place of all cells of its group, which may be thousands: what is sent."""
            if (key := id(shard.group)) not in programs:
                settings, platform = [cell.settings for cell in shard.group], self.layout.machine.platform
                programs[key] = program_of(settings, self._shape, self._classes, platform)
            return replace(shard, group=(), program=programs[key])

        try:
            while work or pending:
                while work and len(pending) < AHEAD * self.workers:
                    shard = work.pop(0)
                    pending[self._task.remote(train_shard, job, self._data, with_program(shard))] = shard
                for ready in self._ray.wait(list(pending), timeout=SECONDS_BETWEEN)[0]:
                    shard, done = pending.pop(ready), self._result(ready)
                    if strange := task.origin.provenance.differences(
                        done.record.provenance, Bearing.CODE, Bearing.DATA
                    ):
                        raise CrewError(f"a worker has other code or versions than the first: {', '.join(strange)}")
                    store.add_shard(done.record.name(shard.id), done.tables, done.record, done.weights)
                    task.checkpoints.of(shard.id).remove()
                    for text in done.notes:
                        task.note(text)
                    timing, peak = added(timing, done.timing), max(peak, done.peak_bytes)
                    lanes, diverged = lanes + len(shard.lane_ids), diverged + done.diverged
                if task.on_progress:
                    seconds, left = time.perf_counter() - begun, planned - timing.resumed
                    task.on_progress(RunProgress(lanes, plan.n_lanes, timing.lane_steps, left, seconds, diverged))
            task.finish()
        finally:
            for waiting in pending:
                with suppress(Exception):  # whatever became of it, nobody waits for it
                    self._ray.cancel(waiting, force=True)
            self._spent, self._peak = added(self._spent, timing), max(self._peak, peak)
            task.publish(self._spent, self._peak)

    def _result(self, reference: Any) -> Any:
        """What a task gives back.

        Raises:
            CrewError: it failed, or its worker was lost too often.
        """
        try:
            while not self._ray.wait([reference], timeout=SECONDS_BETWEEN)[0]:
                self.between()
            found = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[0]
            raise CrewError(f"Ray lost a task, also when it was tried again: {printable(said)}") from None
        if isinstance(found, Failed):
            raise CrewError(found.said)
        return found
