"""Where the time of a training step goes, by what it is for: needs a CPU and the strategy `map`.

    .venv/bin/python scripts/profile_step.py [--case mlp-72]

XLA's own trace says how long each of its operations took, and the compiled program which line of the network each came
from. What is left of the measured time of a step is dispatch: XLA's executor between operations, conditionals, the loop.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benching.cases import CASES
from benching.examples import dataset_of, study_of
from bn_ablate.engine import Engine, Progress, set_up, shards_of
from bn_ablate.plan import make_plan

TRACED_STEPS = 20
"""Of each lane: XLA's trace drops events where there are too many."""

NAMED = re.compile(r'^\s+(?:ROOT )?%?([\w.-]+) = .*?op_name="([^"]*)"', re.MULTILINE)
PURPOSES = (
    ("matrix products", re.compile(r"/(linear|head)/.*dot_general|conv3x3|closed_call/dot_general")),
    ("transposes and biases of the linear maps", re.compile(r"/(linear|head)/")),
    ("Batch Normalization", re.compile(r"/norm/")),
    ("activation", re.compile(r"/block_\d+/cond/")),
    ("dropout and bias", re.compile(r"/block_\d+/")),
)
REST = "loss, optimizer, batch"


def main() -> int:
    """Print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--case", choices=CASES, default="mlp-72")
    case = CASES[parser.parse_args().case]
    set_up("cpu")
    engine = Engine(dataset_of(case), "map")
    step = 1e6 * len(jax.local_devices()) / max(lane_steps_per_second(engine, case) for _ in range(3))
    spent, steps = traced(engine, replace(case, steps=TRACED_STEPS))
    rows = [(purpose, microseconds / steps) for purpose, microseconds in spent.most_common()]
    rows.append(("dispatch, and what the trace does not show", step - sum(share for _, share in rows)))
    print(f"| {case.title}: part of a lane-step | µs | share |\n|---|--:|--:|")
    for purpose, share in [*rows, ("all", step)]:
        print(f"| {purpose} | {share:,.0f} | {share / step:.0%} |")
    return 0


def lane_steps_per_second(engine: Engine, case: Any) -> float:
    """Of a study that is measured at its start and end only, between these."""
    (shard,) = shards_of(make_plan(study_of(case)))
    seen: list[Progress] = []
    engine.run(shard, seen.append)
    last = next(progress for progress in seen if progress.lane_steps == seen[-1].lane_steps)
    return (last.lane_steps - seen[0].lane_steps) / (last.seconds - seen[0].seconds)


def traced(engine: Engine, case: Any) -> tuple[Counter[str], int]:
    """Microseconds by purpose in the training steps of a short study, and how many lane-steps were traced."""
    (shard,) = shards_of(make_plan(study_of(case)))
    engine.run(shard)
    program = list(engine._programs.values())[-1][1]
    origin = dict(NAMED.findall(program.as_text()))  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, create_perfetto_trace=True):
            engine.run(shard)
        (file,) = Path(folder).rglob("perfetto_trace.json.gz")
        events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    spent: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for name, microseconds in self_times(events):
        source = origin.get(name.removesuffix(".clone"))
        if source is None or observes(source):
            continue
        spent[next((purpose for purpose, form in PURPOSES if form.search(source)), REST)] += microseconds
        if "head" in source and "dot_general" in source:
            times[name] += 1
    return spent, int(np.median(list(times.values())))


def observes(source: str) -> bool:
    """Whether an operation belongs to a measurement, and not to a training step."""
    measured, step = source.find("cond/branch"), source.find("jvp(")
    return measured >= 0 and (step < 0 or measured < step)


def self_times(events: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Every event's name and its own time, without that of the events inside it."""
    by_thread: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X":
            by_thread[event["tid"]].append(event)
    found = []
    for thread in by_thread.values():
        thread.sort(key=lambda event: (event["ts"], -event["dur"]))
        inside: list[tuple[float, list[float]]] = []
        own: list[list[float]] = []
        for event in thread:
            while inside and event["ts"] >= inside[-1][0] - 1e-6:
                inside.pop()
            if inside:
                inside[-1][1][0] -= event["dur"]
            own.append([event["dur"]])
            inside.append((event["ts"] + event["dur"], own[-1]))
        found += [(str(event["name"]), mine[0]) for event, mine in zip(thread, own, strict=True)]
    return found


if __name__ == "__main__":
    sys.exit(main())
