"""How much faster two workers with a core each train a study than one with one core, and what Ray takes for a shard.

    .venv/bin/python scripts/worker_throughput.py              # Ray where it is installed
    .venv/bin/python scripts/worker_throughput.py --shards     # what a shard takes alone, by seconds on cores
    .venv/bin/python scripts/worker_throughput.py --quick      # to see that it works

Processes are bound to their cores (Linux), and started once. Ways to train are timed by turns, so that what else the
machine does meets all of them, after a round in which programs are compiled; printed are medians. Timed is `bn.run`:
reading, training, storing, publishing, but neither imports nor the start of a cluster. Seconds on cores are those of a
process and of all that it has started, as Ray's own. What a shard takes is the slope over studies of few and of many
shards of one lane and a few steps. The tables are those of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STUDY = """
name = "study"
seeds = {seeds}

[data]
n_train = 300
n_validation = 100
n_test = 100

[model]
depth = 2
width = 64

[norm]
placement = "pre"

[train]
steps = {steps}
batch_size = 64

[measure]
every = {every}

[axes]
learning_rate = [0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5]
"""
CELLS = 8
SHORT, ALONE = 20, 1
"""Steps of what is trained in many shards, and the memory in bytes for which every lane is a shard."""


class Took(NamedTuple):
    """What a study took: seconds of `bn.run`, on cores, on those of the process that stores; and its lane-steps."""

    seconds: float
    on_cores: float
    storing: float
    lane_steps: float

    @property
    def rate(self) -> float:
        """Lane-steps per second."""
        return self.lane_steps / self.seconds

    @property
    def rate_on_cores(self) -> float:
        """Lane-steps per second on cores."""
        return self.lane_steps / self.on_cores


class Worker:
    """A process that trains what it is asked to, and stays."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, *words: Any) -> None:
        """Let it train the study of a file, into a folder, a part of it or all, with so much memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Took:
        """What that took."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise SystemExit(f"a run ended with {self._process.wait()}")
        return Took(*json.loads(said))


@contextmanager
def worker(on: str, cores: set[int]) -> Iterator[Worker]:
    """A process that trains `on` Ray or itself, bound to `cores`."""
    words = [sys.executable, __file__, "--worker", on]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
    )
    os.sched_setaffinity(process.pid, cores)
    with process:
        yield Worker(process)
        process.communicate()


def work(on: str) -> None:
    """In a worker: train what is asked for, until nobody asks any more."""
    import bn_ablate as bn
    from bn_ablate import engine
    from bn_ablate.runs.on_ray import crew_on_ray

    if on == "here":
        engine.set_up("cpu")
    with crew_on_ray(device="cpu") if on == "ray" else nullcontext() as crew:
        for line in sys.stdin:
            config, results, part, memory = json.loads(line)
            begun, (before, mine_before) = time.perf_counter(), on_cores()
            done = bn.run(bn.load_study(config), results, crew=crew, part=part, memory=memory, progress=False)
            seconds, (after, mine_after) = time.perf_counter() - begun, on_cores()
            print(
                json.dumps([seconds, after - before, mine_after - mine_before, done.manifest["timing"]["lane_steps"]])
            )
            sys.stdout.flush()


def on_cores() -> tuple[float, float]:
    """Seconds on cores of this process with all that it has started and that still runs, and of itself."""
    said = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        said[int(file.parent.name)] = int(words[1]), (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    mine, more = set[int](), {os.getpid()}
    while more:
        mine |= more
        more = {process for process, (parent, _) in said.items() if parent in mine} - mine
    return sum(said[process][1] for process in mine), said[os.getpid()][1]


class Bench:
    """Runs of studies, each into a folder of its own."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self._folder, self._runs, self._rounds = folder, 0, rounds

    def by_turns(self, *runs: partial[Took]) -> list[list[Took]]:
        """What each of `runs` took in each round, after one in which programs are compiled."""
        return [list(each) for each in zip(*([run() for run in runs] for _ in range(1 + self._rounds)), strict=True)]

    def run(self, team: Sequence[Worker], seeds: int, steps: int, memory: int | None = None) -> Took:
        """Let a team train a study of 8 · `seeds` lanes, each a part of it."""
        self._runs += 1
        here = self._folder / str(self._runs)
        here.mkdir()
        config, n = here / "study.toml", len(team)
        config.write_text(STUDY.format(seeds=seeds, steps=steps, every=max(1, steps // 4)))
        for i, one in enumerate(team):
            one.ask(str(config), str(here), (i + 1, n) if n > 1 else None, memory)
        took = [one.answer() for one in team]
        return Took(max(one.seconds for one in took), *map(sum, list(zip(*took, strict=True))[1:]))


def show_speed(bench: Bench, teams: Mapping[str, Sequence[Worker]], seeds: int, steps: int) -> None:
    """Print how fast each team trains the same study, held to the first."""
    print("| workers | `bn.run` | on cores | lane-steps/s | against one process | the same by seconds on cores |")
    print("|---|--:|--:|--:|--:|--:|")
    alone, *_ = found = bench.by_turns(*(partial(bench.run, team, seeds, steps) for team in teams.values()))
    for name, each in zip(teams, found, strict=True):
        rounds = list(zip(alone, each, strict=True))[1:]
        by_clock = median(took.rate / base.rate for base, took in rounds)
        by_cores = median(took.rate_on_cores / base.rate_on_cores for base, took in rounds)
        seconds, cores, rate = (
            median(getattr(took, what) for _, took in rounds) for what in ("seconds", "on_cores", "rate")
        )
        print(f"| {name} | {seconds:.1f} s | {cores:.1f} s | {rate:,.0f} | {by_clock:.2f} × | {by_cores:.2f} × |")
    print(flush=True)


def show_shards(bench: Bench, teams: Mapping[str, Sequence[Worker]], few: int, many: int) -> None:
    """Print what a shard takes, of a lane and a few steps."""
    print("| a shard | on the clock | on cores | of these, where it is stored |\n|---|--:|--:|--:|")
    runs = [partial(bench.run, team, n, SHORT, ALONE) for team in teams.values() for n in (few, many)]
    found = bench.by_turns(*runs)
    for name, less, more in zip(teams, found[::2], found[1::2], strict=True):
        slopes = (
            median((m[i] - f[i]) / (CELLS * (many - few)) for f, m in list(zip(less, more, strict=True))[1:])
            for i in range(3)
        )
        print(f"| {name} |", " | ".join(f"{1000 * slope:.0f} ms" for slope in slopes), "|", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short studies, a round each")
    parser.add_argument("--shards", action="store_true", help="what a shard takes, and no more")
    parser.add_argument("--worker", choices=["here", "ray"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.worker)
        return
    rounds, seeds, steps, few, many = (1, 2, 200, 1, 2) if asked.quick else (2, 8, 1000, 1, 5)
    one, other = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench = Bench(Path(folder), rounds)
        alone = [stack.enter_context(worker("here", {one}))]
        if not asked.shards:
            with worker("here", {other}) as second:
                teams = {"one process, one core": alone, "two parts, a core each": [*alone, second]}
                show_speed(bench, teams, seeds, steps)
        if importlib.util.find_spec("ray") is None:
            return
        on_ray = [stack.enter_context(worker("ray", {one}))]
        show_shards(bench, {"one process": alone, "Ray": on_ray}, few, many)
        if not asked.shards:
            with worker("ray", {one, other}) as both:
                teams = {"one process, one core": alone, "Ray, one core": on_ray, "Ray, two cores": [both]}
                show_speed(bench, teams, seeds, steps)


if __name__ == "__main__":
    main()
