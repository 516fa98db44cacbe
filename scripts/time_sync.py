"""How long W&B runs take to write offline, and how much memory: for made-up studies of several sizes.

    .venv/bin/python scripts/time_sync.py            # 648 lanes, about a minute on 2 cores
    .venv/bin/python scripts/time_sync.py 1 9 27     # seeds: 72 lanes each

Every lane has 100 points of history, each with the measures of its three layers. Each size is written by a process of
its own, whose peak memory is printed, and on Linux that of wandb's own process. The table is that of docs/wandb.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS, EVERY = 990, 10

CHILD = """
import os, pathlib, sys, time
from bn_ablate.plan.memory import host
from bn_ablate.sinks import publish

def peak(process):
    said = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return said["Name"].strip(), int(said["PPid"]), int(said["VmHWM"].split()[0]) / 1024 if "VmHWM" in said else 0.0

def look(done, total):
    if done == total:
        found = [peak(process) for process in PROC.glob("[0-9]*")]
        peaks.extend(mib for name, parent, mib in found if name == "wandb-core" and parent == os.getpid())

PROC, peaks = pathlib.Path("/proc"), []
begun = time.perf_counter()
report = publish(sys.argv[1], "offline", progress=look)
seconds = time.perf_counter() - begun
print(report.lanes, seconds, host.peak_bytes() / 2**20, *(peaks or ["nan"]))
"""


def made_up(path: Path, seeds: int) -> None:
    """Results of 72 · `seeds` lanes, with the measures by layer at every measured step."""
    sys.path.insert(0, str(ROOT))
    from bn_ablate.results import seal
    from bn_ablate.results.files import write_table, write_text
    from tests.synthetic import ABLATION, write_results

    table = ABLATION | {"seeds": seeds, "train": {"steps": STEPS}, "measure": {"every": EVERY}}
    results = write_results(path, table)
    ends = results.layers.filter(step=STEPS).drop("step")
    layers = results.history.select("lane_id", "step").join(ends, on="lane_id", maintain_order="left")
    write_table(path / "layers.parquet", layers.select(results.layers.columns))
    files = {name: sha256 for name, sha256 in results.manifest["files"].items() if name != "layers.parquet"}
    write_text(path / "manifest.json", json.dumps(results.manifest | {"files": files}))
    seal(path)


def main() -> int:
    """Print the table."""
    print("| lanes | seconds | lanes/s | peak MiB | peak MiB of wandb's process |\n|---|---|---|---|---|")
    for seeds in [int(word) for word in sys.argv[1:]] or [9]:
        with tempfile.TemporaryDirectory() as folder:
            made_up(Path(folder) / "ablation", seeds)
            command = [sys.executable, "-c", CHILD, f"{folder}/ablation"]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            lanes, seconds, ours, wandbs = map(float, done.stdout.split()[-4:])
        print(f"| {lanes:.0f} | {seconds:.1f} | {lanes / seconds:.0f} | {ours:.0f} | {wandbs:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
