"""How long it is to the first step, and to the end: in a first process, which compiles, and a second, which loads."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benching.cases import CASES, MLP_72
from benching.workers import ROOT, environment

if TYPE_CHECKING:
    from bn_ablate.config import Study

PATIENCE_SECONDS = 600


class Start(NamedTuple):
    """What is started.

    Attributes:
        title: in words.
        study: a file of `configs/`, or a table.
        cold: the seconds of compiling all its programs that must not, and that should not be exceeded.
        warm: the same of a second process, from its start to its first training step.
        finished: it is trained to the end.
    """

    title: str
    study: str | dict[str, Any]
    cold: tuple[float, float] | None = None
    warm: tuple[float, float] | None = None
    finished: bool = False


RESNET: dict[str, Any] = {
    "name": "resnet-19",
    "seeds": 2,
    "model": {"architecture": "resnet", "depth": 19, "width": 8},
    "train": {"steps": 20, "batch_size": 32},
    "measure": {"every": 10},
    "axes": {"placement": ["none", "pre", "post"], "activation": ["relu", "tanh"], "dropout_rate": [0.0, 0.2]},
}
STARTS = {
    MLP_72.name: Start(MLP_72.title, MLP_72.name, finished=True),
    "smoke": Start("configs/smoke.toml", "smoke", warm=(0.7, 0.4)),
    "main": Start("main study", "ablate", cold=(2.5, 1.8)),
    "c3": Start("C3, four programs", "c3_vanishing_gradients", cold=(12.0, 6.0)),
    "resnet": Start("ResNet-19", RESNET, cold=(8.0, 5.0)),
}


def measure(name: str) -> dict[str, Any]:
    """Of a first and a second process, with a cache of their own: seconds of compiling or loading, and to a first step.

    The latter are from the start of the process, all programs of the study included; those until the study is finished
    are from when its data are there, as they are for the peers.
    """

    def process(cache: str) -> dict[str, float]:
        command = [sys.executable, "-m", "benching.starting", name, cache]
        begun = time.time()
        done = subprocess.run(
            command, env=environment(), cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_SECONDS
        )
        compiled, stepped, used, finished = json.loads(done.stdout)
        seconds = {"compile_seconds": compiled, "step_seconds": stepped - begun, "cpu_seconds": used}
        return seconds | ({"study_seconds": finished} if finished else {})

    with tempfile.TemporaryDirectory() as cache:
        return {"name": name, "first": process(cache), "second": process(cache)}


class SteppedError(Exception):
    """A step was trained."""


def start(name: str, cache: Path) -> tuple[float, float, float, float | None]:
    """In this process: seconds until all programs were there; the time of day after the first step; CPU-seconds.

    And seconds until all was trained, where that is asked for.
    """
    from bn_ablate.data import load
    from bn_ablate.engine import Engine, Progress, set_up, shards_of
    from bn_ablate.plan import make_plan

    set_up("cpu", cache=cache)
    plan = make_plan(study_named(STARTS[name].study))
    shards = shards_of(plan)
    of_groups = {id(shard.group): shard for shard in reversed(shards)}.values()
    engine = Engine(load(plan.study.data.name))
    begun = time.perf_counter()
    programs = [engine._wanted(shard)[0].programs() for shard in of_groups]
    for each in programs:
        each.measure.result()
        each.train.result()
    compiled = time.perf_counter() - begun
    stepped: list[tuple[float, float]] = []

    def see(progress: Progress) -> None:
        stepped.append((time.time(), time.process_time()))
        if not STARTS[name].finished:
            raise SteppedError

    with suppress(SteppedError):
        for shard in shards:
            engine.run(shard, see)
    finished = time.perf_counter() - begun if STARTS[name].finished else None
    return compiled, *stepped[0], finished


def study_named(study: str | dict[str, Any]) -> Study:
    """That of a case, of a file in `configs/`, or of a table."""
    from benching.examples import study_of
    from bn_ablate.config import build_study, load_study

    if isinstance(study, dict):
        return build_study(study)
    return study_of(CASES[study]) if study in CASES else load_study(ROOT / "configs" / f"{study}.toml")


if __name__ == "__main__":
    print(json.dumps(start(sys.argv[1], Path(sys.argv[2]))))
