"""Kill a run again and again, and see that it ends in the bytes of one that was left alone.

    .venv/bin/python scripts/kill_test.py [--kills 25] [--seed 0]

Each kill is a SIGKILL: at a random moment, or in the middle of writing a checkpoint, a shard's table, a published table
or the manifest, by turns. The run is started again after each, then left to finish; every table and claim is compared
with those of an uninterrupted run, byte for byte.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

STUDY = """
name = "killed"
seeds = 2

[data]
n_train = 100
n_validation = 100
n_test = 100

[model]
depth = 2
width = 16

[train]
steps = 60
batch_size = 20

[measure]
every = 20

[axes]
placement = ["none", "pre", "post"]
dropout_rate = [0.0, 0.3]
learning_rate = [0.03, 0.1]
"""
COMPARED = ("lanes.parquet", "history.parquet", "layers.parquet", "histograms.parquet", "claims.json")

WRITES = {
    "a checkpoint": ("*/checkpoints/*.ckpt", 6),
    "a shard's table": ("*/shards/*/lanes.parquet", 2),
    "a shard": ("*/shards/????????????????", 2),
    "a table": ("*/killed/history.parquet", 1),
    "the manifest": ("*/killed/manifest.json", 4),
}
"""What a kill may cut off: what its path looks like, and how many such writes to choose from."""

MOMENTS = ("any moment", *WRITES)

CHILD = """
import fnmatch, os, signal, sys
from pathlib import Path
from bn_ablate.plan.memory import estimate
from bn_ablate.cli.main import main
from bn_ablate.results import checkpoints

estimate.MOST_LANES = 8  # three shards
checkpoints.SECONDS_BETWEEN = checkpoints.TIMES_ITS_COST = 0.0  # a checkpoint after every segment
pattern, left, args = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

def cut_off(move):
    def moved(self, target):
        global left
        if fnmatch.fnmatch(str(target), pattern):
            left -= 1
            if left < 0:
                for file in [self] if self.is_file() else self.iterdir():
                    os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
        return move(self, target)
    return moved

Path.replace, Path.rename = cut_off(Path.replace), cut_off(Path.rename)
sys.exit(main(args))
"""


def start(folder: Path, pattern: str = "", writes: int = 0) -> subprocess.Popen[str]:
    """A run into `folder`, which kills itself in the middle of a write after `writes` others that match `pattern`."""
    run = ["run", str(folder / "killed.toml"), "--results", str(folder), "--wandb", "disabled", "--device", "cpu"]
    (folder / "killed.toml").write_text(STUDY)
    command = [sys.executable, "-c", CHILD, pattern, str(writes), *run]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> int:
    """The exit status of a run, which must be done or killed."""
    _, err = process.communicate(timeout=600)
    if process.returncode not in (0, -9):
        sys.exit(f"a run ended with status {process.returncode}:\n{err}")
    return process.returncode


def contents(folder: Path) -> dict[str, bytes]:
    """What is compared."""
    return {name: (folder / "killed" / name).read_bytes() for name in COMPARED}


def main() -> None:
    """Kill until there were enough kills; end with status 1 where a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw, rounds, killed = random.Random(args.seed), 0, Counter[str]()
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.monotonic()
        whole = Path(scratch, "whole")
        whole.mkdir()
        finish(start(whole))
        seconds = time.monotonic() - begun
        expected = contents(whole)
        while killed.total() < args.kills:
            rounds += 1
            folder = Path(scratch, f"round-{rounds}")
            folder.mkdir()
            status = -9
            while status:
                kills = killed.total()
                what = MOMENTS[kills % len(MOMENTS)] if kills < args.kills else "none"
                pattern, writes = WRITES.get(what, ("", 1))
                process = start(folder, pattern, draw.randrange(writes))
                if what == "any moment":
                    try:
                        process.wait(draw.uniform(0, seconds))
                    except subprocess.TimeoutExpired:
                        process.kill()
                status = finish(process)
                killed[what] += status != 0
                print(f"round {rounds}: {what}: {f'kill {kills + 1}' if status else 'finished'}", flush=True)
            if differing := [name for name, content in contents(folder).items() if content != expected[name]]:
                sys.exit(f"round {rounds}: differs from the uninterrupted run: {', '.join(differing)}")
            names = (path.name for path in (folder / "killed").rglob("*"))
            left = [name for name in names if name.startswith(".writing") or name in ("checkpoints", "lock")]
            if left:
                sys.exit(f"round {rounds}: left behind: {', '.join(left)}")
    print("killed at or in: " + ", ".join(f"{what} ({killed[what]})" for what in MOMENTS))
    print(f"{killed.total()} kills in {rounds} rounds; every run ended in the bytes of the uninterrupted one")


if __name__ == "__main__":
    main()
