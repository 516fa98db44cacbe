"""What checkpoints cost: a shard of a study trained with and without them, by turns.

    .venv/bin/python scripts/checkpoint_cost.py [--config configs/ablate.toml] [--set train.steps=1200] [--rounds 3]

The schedule is the default one, under which a shard that takes less than half a minute has no checkpoint. Medians
over the rounds are of processor time, which other work on the machine does not add to, and of time by the clock; what
writing took is measured besides.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from bn_ablate.config import load_study
from bn_ablate.data import load
from bn_ablate.engine import Engine, set_up, shards_of
from bn_ablate.plan import make_plan
from bn_ablate.plan.memory import lanes_that_fit
from bn_ablate.results.checkpoints import Checkpoint
from bn_ablate.results.provenance import Provenance, provenance_of


class Timed(Checkpoint):
    """A checkpoint that knows how often it was written, how long that took, and how large it is."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        super().__init__(path, provenance, print)
        self.times: list[float] = []
        self.bytes = 0

    def save(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Write, and look at the clock."""
        begun = time.perf_counter()
        super().save(key, arrays)
        self.times.append(time.perf_counter() - begun)
        self.bytes = self.path.stat().st_size


def main() -> None:
    """Train by turns, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/ablate.toml"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    set_up("cpu")
    plan = make_plan(load_study(args.config, args.overrides))
    engine = Engine(load(plan.study.data.name))
    machine = engine.machine()
    fitting = partial(lanes_that_fit, seeds=len(plan.seeds), machine=machine, extent=engine.dataset.extent)
    shard = shards_of(plan, max_lanes=fitting)[0]
    steps = shard.cells[0].settings.train.steps
    print(f"{args.config}: a shard of {len(shard.lane_ids)} lanes, {steps} steps", flush=True)
    processor: dict[bool, list[float]] = {True: [], False: []}
    clock: dict[bool, list[float]] = {True: [], False: []}
    written: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for at in range(args.rounds):
            for kept in (True, False) if at % 2 else (False, True):
                keeper = Timed(Path(folder, f"{at}.ckpt"), provenance_of(engine)) if kept else None
                compiled, begun, used = engine.timing.compile_seconds, time.perf_counter(), time.process_time()
                engine.run(shard, keeper=keeper)
                spent = engine.timing.compile_seconds - compiled
                clock[kept].append(time.perf_counter() - begun - spent)
                processor[kept].append(time.process_time() - used - spent)
                shown = f"{clock[kept][-1]:.1f} s, {processor[kept][-1]:.1f} s of processor time"
                if keeper:
                    written += keeper.times
                    shown += f", {len(keeper.times)} checkpoints of {keeper.bytes / 2**20:.1f} MiB"
                print(f"round {at + 1}, {'with' if kept else 'without'}: {shown}", flush=True)
    for what, times in (("processor time", processor), ("clock", clock)):
        print(f"{what}, with over without: {median(times[True]) / median(times[False]):.3f} (medians)")
    if written:
        each = sum(written) / len(written)
        print(f"{len(written)} checkpoints took {each:.2f} s each, {sum(written) / sum(clock[True]):.2%} of the time")


if __name__ == "__main__":
    main()
