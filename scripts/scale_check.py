"""What studies of many lanes take after training: seconds and memory of each command, for made-up outcomes.

    .venv/bin/python scripts/scale_check.py                    # 1,000, 10,000 and 100,000 lanes
    .venv/bin/python scripts/scale_check.py 2000 4000          # others
    .venv/bin/python scripts/scale_check.py --keep DIR 10000   # leave the results in DIR

Nothing is trained: shards are cut, turned into tables and stored as those of a run are, with random numbers in the
place of measurements, so that `bn-ablate` takes them for its own. Every command is a process of its own, of which the
time on the clock, that on cores, and the largest memory are printed. The table is that of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
SEEDS, SMALLEST = 10, 1000
STUDY = """
name = "many"
seeds = {seeds}

[data]
n_train = 300
n_validation = 100
n_test = 100

[model]
depth = 3
width = 32

[train]
steps = 100
batch_size = 32

[measure]
every = 20

[axes]
placement = ["none", "pre"]
activation = ["sigmoid", "relu"]
dropout_rate = [0.0, 0.1, 0.2, 0.3, 0.5]
learning_rate = [0.01, 0.03, 0.1, 0.3, 1.0]
weight_decay = {decays}

[[hypotheses]]
id = "tuned"
kind = "contrast"
statement = "BN before the activation tests better, each network at its best learning rate"
metric = "final_test_accuracy"
each = ["activation"]
select = {{ axis = "learning_rate", metric = "final_validation_loss" }}
a = {{ placement = "pre" }}
b = {{ placement = "none" }}

[[hypotheses]]
id = "underfits"
kind = "interaction"
statement = "Dropping half of the units raises the training loss more with BN than without"
metric = "underfitting"
a = {{ placement = "pre", dropout_rate = 0.5 }}
b = {{ placement = "pre", dropout_rate = 0.0 }}
c = {{ placement = "none", dropout_rate = 0.5 }}
d = {{ placement = "none", dropout_rate = 0.0 }}

[[hypotheses]]
id = "shift"
kind = "optimum_shift"
statement = "With BN, the best dropout rate is lower"
metric = "final_validation_loss"
axis = "dropout_rate"
a = {{ placement = "pre" }}
b = {{ placement = "none" }}
"""
PUBLISH = "import sys, bn_ablate as bn; bn.run(bn.load_study(sys.argv[1]), sys.argv[2], progress=False)"


class Taken(NamedTuple):
    """What a process took."""

    seconds: float
    on_cores: float
    mib: float


def study_of(lanes: int) -> str:
    """A study of so many lanes, whose weight decays have more levels the more there are."""
    n = lanes // SMALLEST
    return STUDY.format(seeds=SEEDS, decays=[0.0, *(round(1e-6 * 1.1**i, 12) for i in range(n - 1))])


def make_up(config: Path, results: Path) -> None:
    """Store every shard of the study in `config`, in the layout and with the provenance of a run on this machine."""
    import numpy as np

    from bn_ablate import engine
    from bn_ablate.config import load_study
    from bn_ablate.config.measures import PROBED
    from bn_ablate.data import load
    from bn_ablate.engine import Engine, Outcome
    from bn_ablate.engine.extras import Extras
    from bn_ablate.engine.observe import Observation
    from bn_ablate.engine.outcome import measured_steps
    from bn_ablate.plan import make_plan
    from bn_ablate.results import Record, Store
    from bn_ablate.results.provenance import environment, provenance_of
    from bn_ablate.results.recording.frames import tables_of
    from bn_ablate.runs.layout import Asked, settle

    engine.set_up("cpu")
    plan, dataset, layout = make_plan(load_study(config)), load("digits"), settle(None, Asked())
    trainer = Engine(dataset, layout.machine.strategy)
    origin, store = Record(provenance_of(trainer), {}, environment()), Store(results / plan.study.name)
    store.open()
    for number, shard in enumerate(layout.shards(plan, frozenset(), dataset.extent)):
        settings = shard.cells[0].settings
        steps = measured_steps(settings.train.steps, settings.measure.every)
        rng: Any = np.random.default_rng(number)
        lane = (len(steps), len(shard.seeds), len(shard.cells))
        layer = (*lane, settings.model.depth)
        observations = Observation(
            loss_sum=rng.lognormal(size=lane).astype(np.float32),
            loss=rng.lognormal(size=(*lane, 3)).astype(np.float32),
            accuracy=rng.integers(10, 100, (*lane, 3)) / np.float32(100),
            layers={
                name: rng.lognormal(size=layer).astype(np.float32)
                for name in ("gradient_norm", *(of.name for of in PROBED))
            },
            histograms=rng.poisson(30.0, (*layer, 2, 102)),
            extras=Extras({}, {}),
        )
        never, chance = np.full(lane[1:], -1), np.full(lane[1], 0.1)
        record = origin.of(trainer.way, shard)
        store.add_shard(record.name(shard.id), tables_of(Outcome(shard, steps, observations, never, chance)), record)


def taken_by(*words: object) -> Taken:
    """What a process of Python with these arguments takes, which must end well."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words}: ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Taken(time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 2**20)


def measured(lanes: int, folder: Path) -> dict[str, str]:
    """What is printed of a study of so many lanes, by the name of its row."""
    folder.mkdir(parents=True, exist_ok=True)
    config, results = folder / "many.toml", folder / "many"
    config.write_text(study_of(lanes))
    taken_by(__file__, "--make-up", config, folder)
    command, some = ("-m", "bn_ablate.cli"), ("--only", "seed=0,weight_decay=0.0")
    found = {
        "`plan`": taken_by(*command, "plan", config, "--device", "cpu"),
        "publish the tables": taken_by("-c", PUBLISH, config, folder),
        "`report`": taken_by(*command, "report", results),
        "`sync --only`, 100 lanes offline": taken_by(*command, "sync", results, "--wandb", "offline", *some),
        "`verify`": taken_by(*command, "verify", results),
    }
    rows = {name: f"{it.seconds:.1f} s, {it.on_cores:.1f} on cores, {it.mib:,.0f} MiB" for name, it in found.items()}
    files = [file for file in results.rglob("*") if file.is_file()]
    rows["report.html"] = f"{(results / 'report.html').stat().st_size / 1e6:.2f} MB"
    rows["the folder"] = f"{sum(file.stat().st_size for file in files) / 1e6:,.0f} MB in {len(files):,} files"
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lanes", nargs="*", type=int, default=[1000, 10_000, 100_000], help="thousands of lanes")
    parser.add_argument("--keep", type=Path, help="where to leave the results")
    parser.add_argument("--make-up", nargs=2, type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.make_up:
        make_up(*asked.make_up)
        return
    columns = []
    for lanes in asked.lanes:
        with tempfile.TemporaryDirectory() as folder:
            columns.append(measured(lanes, (asked.keep or Path(folder)) / str(lanes)))
    print("|", *(f"| {lanes:,} lanes" for lanes in asked.lanes), "|")
    print("|---" * (1 + len(columns)) + "|")
    for row in columns[0]:
        print(f"| {row}", *(f"| {column[row]}" for column in columns), "|")


if __name__ == "__main__":
    main()
