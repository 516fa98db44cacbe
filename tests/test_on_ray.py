"""Shards trained by Ray: on nodes that are processes of this machine, of which one is killed, and then the driver."""

from __future__ import annotations

import importlib.util
import os
import pickle
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from bn_ablate.cli.main import main
from bn_ablate.cli.signals import Stopped
from bn_ablate.config import ConfigError, Problem, build_study
from bn_ablate.data import load
from bn_ablate.plan import make_plan, spread
from bn_ablate.plan.memory import Machine
from bn_ablate.results import Checkpoints, open_results, verify
from bn_ablate.results.lock import lock_text, locked
from bn_ablate.runs.layout import Asked, Layout
from bn_ablate.runs.on_ray import CrewError, OnRay, crew_on_ray, devices_of, shareable
from bn_ablate.runs.ray_tasks import Failed, Job, attempt, checkpoint_of
from tests.cli.command_line import command

THERE = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not THERE, reason="Ray is not installed: pip install 'bn_ablate[ray]'")
STUDY = """
name = "many"
seeds = 8

[data]
n_train = 60
n_validation = 100
n_test = 100

[model]
depth = 1
width = 8

[train]
steps = 2000
batch_size = 16

[measure]
every = 1000

[axes]
placement = ["none", "pre"]
learning_rate = [0.01, 0.03, 0.1, 0.3]
"""
HASTY = """
import bn_ablate as bn
from bn_ablate.results import checkpoints

checkpoints.SECONDS_BETWEEN = 0.2

@bn.activation("hasty")
def hasty(x):
    return x * abs(x)
"""
FAILING = """
import bn_ablate as bn

@bn.activation("faulty")
def faulty(x):
    raise ArithmeticError("no number\\nat all")
"""


@pytest.mark.parametrize(
    ("resources", "device", "found"),
    [
        ({"CPU": 3.0}, "auto", ("cpu", {"num_cpus": 1}, 3)),
        ({"CPU": 8.0, "GPU": 2.0, "accelerator_type:H100": 1.0}, "auto", ("cuda", {"num_cpus": 1, "num_gpus": 1}, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, "cpu", ("cpu", {"num_cpus": 1}, 8)),
    ],
)
def test_a_task_takes_a_gpu_where_there_is_one_else_a_core(
    resources: dict[str, float], device: str, found: Any
) -> None:
    assert devices_of(resources, device) == found


@pytest.mark.parametrize(
    ("resources", "device", "said"),
    [
        ({"CPU": 3.0}, "cuda", "has no GPU; --device cpu"),
        ({"CPU": 3.0}, "tpu", "on cpu and cuda, and not on tpu"),
        (
            {"GPU": 2.0, "accelerator_type:A100": 1.0, "accelerator_type:H100": 1.0},
            "auto",
            "has A100 and H100: the lanes",
        ),
    ],
)
def test_devices_that_a_cluster_has_not_or_of_several_kinds_are_refused(
    resources: dict[str, float], device: str, said: str
) -> None:
    with pytest.raises(CrewError, match=said):
        devices_of(resources, device)


def test_a_task_that_fails_says_why_in_a_sentence_with_its_node() -> None:
    def refuse() -> None:
        raise ConfigError("x", [Problem("train.steps", "is none")])

    on = f"on the node {platform.node()}: "
    assert attempt(refuse) == Failed(f"{on}x: 1 problem\n  train.steps: is none")
    assert attempt(lambda: 1 / 0) == Failed(f"{on}ZeroDivisionError: division by zero")
    assert attempt(lambda: 3) == 3


@pytest.mark.parametrize("workers", [1, 3, 4, 9, 100])
def test_work_for_many_workers_is_every_lane_once(workers: int) -> None:
    plan = make_plan(build_study({"name": "x", "seeds": 4, "axes": {"placement": ["none", "pre", "post"]}}))
    layout = Layout(Machine("map", 1, 2**32), spread(plan, workers))
    lanes = plan.lanes
    shards = layout.shards(plan, {lanes[0].id}, load("digits").extent)
    assert len(shards) >= min(workers, plan.n_lanes - 1)
    assert sorted(lane for shard in shards for lane in shard.lane_ids) == sorted(lane.id for lane in lanes[1:])
    assert all(len(shard.seeds) == 1 for shard in shards)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--address", "head:6379"), "--on ray joins it"),
        (("--on", "ray", "--only", "seed=0"), "does not go with --on ray"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "many.toml").write_text(STUDY)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "many.toml"), *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(THERE, reason="Ray is installed")
def test_without_ray_it_is_said_how_to_get_it() -> None:
    with pytest.raises(CrewError, match=r"which is not installed: pip install 'bn_ablate\[ray\]'"), crew_on_ray():
        pass


def test_a_cluster_that_does_not_answer_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))  # which is not asked
    address = f"127.0.0.1:{free_port()}"
    for said in (address, f"ray://{address}", "127.0.0.1:99999"):
        with (
            pytest.raises(CrewError, match=f"no cluster can be joined at {said}; `ray start --head`"),
            crew_on_ray(said),
        ):
            pass


def test_a_cluster_that_does_not_start_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(address: str, **_: Any) -> None:
        raise Exception(f"the node at {address}\ntimed out")

    ray = SimpleNamespace(init=init, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", cast("ModuleType", ray))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = r"no cluster can be started here; the same command tries again, .* \(the node at local timed out\)"
    with pytest.raises(CrewError, match=said), crew_on_ray():
        pass


def test_a_data_set_that_is_mapped_from_files_is_shared_by_the_workers_of_a_node(tmp_path: Path) -> None:
    whole, file = load("digits"), tmp_path / "images.npy"
    np.save(file, whole.images)
    mapped = replace(whole, images=np.load(file, mmap_mode="r"))
    beside: list[pickle.PickleBuffer] = []  # what Ray puts into its store as it is, for all to see
    pickled = pickle.dumps(shareable(mapped), protocol=5, buffer_callback=beside.append)
    assert sum(buffer.raw().nbytes for buffer in beside) == whole.images.nbytes + whole.labels.nbytes
    assert len(pickled) < 2_000
    seen = pickle.loads(pickled, buffers=beside)
    assert seen.sha256 == whole.sha256
    assert np.array_equal(seen.images, whole.images)


def test_a_worker_keeps_checkpoints_where_it_sees_the_folder_that_the_driver_has_locked(tmp_path: Path) -> None:
    here: Any = None

    def keeps(job: Job) -> bool:
        return checkpoint_of("some", job, here, print) is not None

    job = Job("cpu", {}, None, Asked(), folder=tmp_path)
    assert not keeps(job._replace(lock="3 on driver"))
    assert not keeps(job)
    with locked(tmp_path):
        job = job._replace(lock=lock_text(tmp_path))
        assert not keeps(job), "nothing was laid out"
        Checkpoints(tmp_path, here, print).lay_out([])
        assert keeps(job)
        assert not keeps(job._replace(lock="3 on driver")), "a folder that another process writes to"
        assert not keeps(job._replace(folder=tmp_path / "not_mounted"))
    assert not keeps(job), "the driver is gone"


def test_a_signal_ends_the_wait_for_a_worker_that_gets_ready() -> None:
    def stop() -> None:
        raise Stopped(signal.SIGTERM)

    never_ready = SimpleNamespace(
        remote=lambda **_: lambda function: function,
        wait=lambda some, timeout: ([], some),
        exceptions=SimpleNamespace(RayError=OSError),
    )
    crew = OnRay(never_ready, "cpu", {}, 1)
    crew.between = stop
    with pytest.raises(Stopped):
        crew._result("what never comes")


def free_port() -> int:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return int(some.getsockname()[1])


AROUND = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "5" * 64,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",  # a node that is lost is noticed in seconds
    "RAY_health_check_failure_threshold": "3",
    "XLA_FLAGS": "",  # compiled as for users
}


def started(*words: object) -> dict[str, Any]:
    """How to start a process around the cluster with these arguments of Python."""
    start = command(*words)
    return start | {"env": start["env"] | AROUND}


@contextmanager
def node(*words: object) -> Iterator[subprocess.Popen[str]]:
    """A node of a cluster with a core, in a session of its own, which is killed with all its processes."""
    start = started("-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--block", *words)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(**start, **quiet, start_new_session=True)
    try:
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shards(folder: Path) -> int:
    return len(list(folder.glob("shards/[!.]*")))


def checkpoints(folder: Path) -> int:
    return len(list(folder.glob("checkpoints/[!.]*.ckpt")))


def wait_for(n: int, count: Callable[[Path], int], folder: Path, driver: subprocess.Popen[str]) -> None:
    while count(folder) < n and driver.poll() is None:
        time.sleep(0.1)
    assert driver.poll() is None, "the driver has ended"


def check_the_same(made: Path, one: Path) -> None:
    for name in ("lanes", "history", "layers", "histograms"):
        assert (made / f"{name}.parquet").read_bytes() == (one / f"{name}.parquet").read_bytes()
    assert verify(made) == []


@needs_ray
@pytest.mark.slow
def test_a_node_and_then_the_driver_are_killed_and_the_tables_are_those_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "many.toml").write_text(STUDY)
    address = f"127.0.0.1:{free_port()}"
    args = ("-m", "bn_ablate.cli", "run", tmp_path / "many.toml", "--wandb", "disabled", "--device", "cpu")
    on_ray = started(*args, "--results", tmp_path / "ray", "--on", "ray", "--address", address)
    folder, stored = tmp_path / "ray" / "many", 0
    with node("--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false"):
        time.sleep(8)
        with node(f"--address={address}") as lost, node(f"--address={address}"):
            time.sleep(5)
            with subprocess.Popen(**on_ray, stdout=subprocess.DEVNULL) as driver:
                wait_for(2, shards, folder, driver)
                kill(lost)
                wait_for(4, shards, folder, driver)
                driver.kill()
            stored = shards(folder)
            done = subprocess.run(**on_ray, check=False, capture_output=True, timeout=400)
            assert done.returncode == 0, done.stderr
    assert f"{8 * stored} of 64 lanes are there already" in done.stdout
    alone = started(*args, "--results", tmp_path / "alone")
    assert subprocess.run(**alone, check=False, stdout=subprocess.DEVNULL).returncode == 0
    check_the_same(folder, tmp_path / "alone" / "many")
    assert open_results(folder).manifest["layout"]["parts"] == 8


@needs_ray
@pytest.mark.slow
def test_a_shard_whose_node_is_lost_resumes_from_its_checkpoint_on_a_disk_that_is_shared(tmp_path: Path) -> None:
    (tmp_path / "hasty.py").write_text(HASTY)
    (tmp_path / "many.toml").write_text('extensions = ["hasty.py"]\n' + STUDY)
    address = f"127.0.0.1:{free_port()}"
    long = ("train.steps=150_000", "measure.every=50_000")
    levels = ("seeds=2", "axes.placement=['pre']", "axes.learning_rate=[0.1]", "axes.activation=['hasty']")
    study = ("run", tmp_path / "many.toml", *(word for said in (*long, *levels) for word in ("--set", said)))
    args = ("-m", "bn_ablate.cli", *study, "--wandb", "disabled", "--device", "cpu")
    folder = tmp_path / "ray" / "many"
    with node("--head", f"--port={address.partition(':')[2]}", "--include-dashboard=false"):
        time.sleep(8)
        with node(f"--address={address}") as lost:
            time.sleep(5)
            on_ray = started(*args, "--results", tmp_path / "ray", "--on", "ray", "--address", address)
            with subprocess.Popen(**on_ray, stdout=subprocess.DEVNULL) as driver:
                wait_for(2, checkpoints, folder, driver)
                kill(lost)
                assert driver.wait(timeout=400) == 0
    manifest = open_results(folder).manifest
    assert 0 < manifest["timing"]["lane_steps_resumed"] < 150_000
    assert manifest["notes"] == []
    assert not (folder / "checkpoints").exists()
    alone = started(*args, "--results", tmp_path / "alone")
    assert subprocess.run(**alone, check=False, stdout=subprocess.DEVNULL).returncode == 0
    check_the_same(folder, tmp_path / "alone" / "many")


@needs_ray
@pytest.mark.slow
def test_a_fault_in_a_task_is_said_once_with_its_node(tmp_path: Path) -> None:
    (tmp_path / "faulty.py").write_text(FAILING)
    (tmp_path / "many.toml").write_text('extensions = ["faulty.py"]\n' + STUDY + 'activation = ["faulty"]\n')
    words = (
        "run",
        tmp_path / "many.toml",
        "--results",
        tmp_path,
        "--wandb",
        "disabled",
        "--on",
        "ray",
        "--device",
        "cpu",
    )
    done = subprocess.run(**command("-m", "bn_ablate.cli", *words), check=False, capture_output=True, timeout=200)
    assert done.returncode == 1
    assert done.stderr == f"bn-ablate: on the node {platform.node()}: ArithmeticError: no number\nat all\n"
