"""Where the time of a training step goes, by what it is for: needs a CPU and the strategy `map`.

    .venv/bin/python scripts/profile_step.py [--case mlp-72]

XLA's own trace says how long each of its operations took, and the compiled program where in the network each came from.
What is neither is dispatch: XLA's executor between operations, its conditionals, its loop. Tracing takes time itself,
so the whole is more than a step takes without it, which is printed too.
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
    ("products and convolutions", re.compile(r"/(linear|head)/.*(dot|conv)_general|closed_call/dot_general")),
    ("patches", re.compile(r"closed_call/(concatenate|slice|pad|transpose)")),
    ("pooling", re.compile(r"\(Described\)+/(jit\(_where\)|[a-z_]+$)")),
    ("transposes and biases of the linear maps", re.compile(r"/(linear|head)/")),
    ("Batch Normalization", re.compile(r"/norm/")),
    ("activation", re.compile(r"/block_\d+/.*cond/")),
    ("dropout and bias", re.compile(r"/block_\d+/")),
)
REST = "loss, optimizer, batch"
DISPATCH = "dispatch"


def main() -> int:
    """Print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--case", choices=CASES, default="mlp-72")
    case = CASES[parser.parse_args().case]
    set_up("cpu")
    engine = Engine(dataset_of(case), "map")
    step = 1e6 * len(jax.local_devices()) / max(lane_steps_per_second(engine, case) for _ in range(3))
    spent, steps = traced(engine, replace(case, steps=TRACED_STEPS))
    dearest = sorted(spent.items(), key=lambda item: -item[1])
    rows = [(purpose, microseconds / steps) for purpose, microseconds in dearest]
    whole = sum(share for _, share in rows)
    print(f"| {case.title}: part of a lane-step | µs | share |\n|---|--:|--:|")
    for purpose, share in [*rows, ("all, traced", whole)]:
        print(f"| {purpose} | {share:,.0f} | {share / whole:.0%} |")
    print(f"| the same, not traced | {step:,.0f} | |")
    return 0


def lane_steps_per_second(engine: Engine, case: Any) -> float:
    """Of a study that is measured at its start and end only, between these."""
    (shard,) = shards_of(make_plan(study_of(case)))
    seen: list[Progress] = []
    engine.run(shard, seen.append)
    last = next(progress for progress in seen if progress.lane_steps == seen[-1].lane_steps)
    return (last.lane_steps - seen[0].lane_steps) / (last.seconds - seen[0].seconds)


def traced(engine: Engine, case: Any) -> tuple[dict[str, float], int]:
    """Microseconds by purpose in the training steps of a short study, and how many lane-steps were traced."""
    (shard,) = shards_of(make_plan(study_of(case)))
    wanted, _ = engine._wanted(shard)
    programs = wanted.programs()
    begin, train = programs.begin.result(), programs.train.result()
    segment = wanted.segment._replace(n_steps=jax.numpy.int32(TRACED_STEPS))
    origin = dict(NAMED.findall(str(train.as_text())))
    states = begin(wanted.examples, wanted.seeds, wanted.factors, wanted.first)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, create_perfetto_trace=True):
            jax.block_until_ready(train(wanted.examples, wanted.seeds, wanted.factors, states, segment))
        (file,) = Path(folder).rglob("perfetto_trace.json.gz")
        events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    spent: defaultdict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    for name, microseconds, around in self_times(events):
        source = origin.get(name.removesuffix(".clone"))
        inside = source or next((origin[other] for other in reversed(around) if other in origin), None)
        if inside is None:
            continue
        if source is None or name.startswith(("conditional", "while")):
            purpose = DISPATCH
        else:
            purpose = next((purpose for purpose, form in PURPOSES if form.search(source)), REST)
        spent[purpose] += microseconds
        if source and "head" in source and "dot_general" in source:
            times[name] += 1
    return spent, int(np.median(list(times.values())))


def self_times(events: list[dict[str, Any]]) -> list[tuple[str, float, list[str]]]:
    """Every event's name, its own time, without that of the events inside it, and the names of those around it."""
    by_thread: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X":
            by_thread[event["tid"]].append(event)
    found: list[tuple[str, list[float], list[str]]] = []
    for thread in by_thread.values():
        thread.sort(key=lambda event: (event["ts"], -event["dur"]))
        around: list[tuple[float, str, list[float]]] = []
        for event in thread:
            while around and event["ts"] >= around[-1][0] - 1e-6:
                around.pop()
            if around:
                around[-1][2][0] -= event["dur"]
            own = [float(event["dur"])]
            found.append((str(event["name"]), own, [name for _, name, _ in around]))
            around.append((event["ts"] + event["dur"], str(event["name"]), own))
    return [(name, own[0], names) for name, own, names in found]


if __name__ == "__main__":
    sys.exit(main())
