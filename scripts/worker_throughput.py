"""How much faster two workers with a core each train a study than one with one core, and what Ray takes for each shard.

    .venv/bin/python scripts/worker_throughput.py              # some minutes on 2 idle cores; Ray where it is installed
    .venv/bin/python scripts/worker_throughput.py --quick      # to see that it works

Processes are bound to their cores (Linux). Counted is `bn.run`: reading, loading programs that were compiled before,
training, storing, publishing, but neither imports nor the start of a cluster. Every figure is the best of some rounds.
What a shard takes besides its training is the slope over studies of few and of many shards, a lane each. The table is
that of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
name = "{name}"
seeds = {seeds}

[data]
n_train = 300
n_validation = 100
n_test = 100

[model]
depth = 2
width = 64

[train]
steps = {steps}
batch_size = 64

[measure]
every = {every}

[axes]
placement = ["none", "pre"]
learning_rate = [0.01, 0.03, 0.1, 0.3]
"""
CHILD = """
import json, sys, time
from contextlib import nullcontext
import bn_ablate as bn
from bn_ablate import engine
config, results, on, part, memory = json.loads(sys.argv[1])
if on == "ray":
    from bn_ablate.runs.on_ray import crew_on_ray
    crew = crew_on_ray(device="cpu")
else:
    engine.set_up("cpu")
    crew = nullcontext()
with crew as crew:
    begun = time.perf_counter()
    done = bn.run(bn.load_study(config), results, crew=crew, part=part, memory=memory, progress=False)
    seconds = time.perf_counter() - begun
timing = done.manifest["timing"]
print(json.dumps([seconds, timing["train_seconds"], timing["compile_seconds"], timing["lane_steps"]]))
"""
CELLS = 8
SHORT, ALONE = 20, 1
"""Steps of what is trained in many shards, and the memory in bytes for which every lane is a shard."""


class Took(NamedTuple):
    """What workers took: seconds of `bn.run`, of training and of getting programs, and the lane-steps that they did."""

    seconds: float
    training: float
    compiling: float
    lane_steps: float


def begin(cores: set[int], *asked: Any) -> subprocess.Popen[str]:
    """Begin a run in a process that is bound to `cores`."""
    words = [sys.executable, "-c", CHILD, json.dumps(asked)]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    os.sched_setaffinity(process.pid, cores)
    return process


def end(process: subprocess.Popen[str]) -> Took:
    """What a run took that has to end well."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run ended with {process.returncode}")
    return Took(*json.loads(said.splitlines()[-1]))


class Bench:
    """Runs of studies, each into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._runs = folder, 0

    def run(self, on: str, cores: Sequence[set[int]], seeds: int, steps: int, memory: int | None = None) -> Took:
        """Train a study of 8 · `seeds` lanes in as many processes as there are sets of cores."""
        self._runs += 1
        here = self._folder / str(self._runs)
        here.mkdir()
        config, n = here / "study.toml", len(cores)
        config.write_text(STUDY.format(name="study", seeds=seeds, steps=steps, every=max(1, steps // 4)))
        parts = [(i + 1, n) if n > 1 else None for i in range(n)]
        begun = [begin(mine, str(config), str(here), on, part, memory) for mine, part in zip(cores, parts, strict=True)]
        took = [end(process) for process in begun]
        return Took(
            max(one.seconds for one in took),
            max(one.training for one in took),
            max(one.compiling for one in took),
            sum(one.lane_steps for one in took),
        )


def best(rounds: int, run: Callable[[], Took]) -> Took:
    """The fastest of some rounds, after one in which programs are compiled."""
    run()
    return min(run() for _ in range(rounds))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short studies, a round each")
    quick = parser.parse_args().quick
    rounds, seeds, steps, few, many = (1, 2, 400, 1, 3) if quick else (3, 8, 8000, 2, 26)
    one, other = sorted(os.sched_getaffinity(0))[:2]
    there = importlib.util.find_spec("ray") is not None
    ways = {
        "one process, one core": ("here", [{one}]),
        "two parts, a core each": ("here", [{one}, {other}]),
        **({"Ray, one core": ("ray", [{one}]), "Ray, two cores": ("ray", [{one, other}])} if there else {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        print("| workers | `bn.run` | lane-steps/s | against one process |\n|---|---|---|---|")
        alone = 0.0
        for name, (on, cores) in ways.items():
            took = best(rounds, partial(bench.run, on, cores, seeds, steps))
            rate = took.lane_steps / took.seconds
            alone = alone or rate
            print(f"| {name} | {took.seconds:.1f} s | {rate:,.0f} | {rate / alone:.2f} × |", flush=True)
        print()
        for on, where in {"here": "in this process", **({"ray": "on Ray"} if there else {})}.items():
            less, more = (best(rounds, partial(bench.run, on, [{one}], n, SHORT, ALONE)) for n in (few, many))
            besides = [took.seconds - took.training - took.compiling for took in (less, more)]
            a_shard = (besides[1] - besides[0]) / (CELLS * (many - few))
            print(f"a shard takes {1000 * a_shard:.0f} ms besides training {where}", flush=True)


if __name__ == "__main__":
    main()
