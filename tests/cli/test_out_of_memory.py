"""Memory that really runs out: the system refuses what training asks for, beyond a limit of the process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bn_ablate.results import open_results, verify
from tests.cli.command_line import command

WIDE = """
name = "wide"
seeds = 1

[data]
n_train = 100
n_validation = 50
n_test = 50

[model]
depth = 2
width = 2048

[train]
steps = 1
batch_size = 20

[measure]
every = 1

[axes]
learning_rate = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16]
placement = ["none", "pre"]
"""
LIMITED = """
import resource, sys
from pathlib import Path
from bn_ablate.cli.main import main
from bn_ablate.engine import Engine
train, more = Engine.run, int(sys.argv[1])

def limited(*args, **kwargs):
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + more * 2**20, most))
    try:
        return train(*args, **kwargs)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

Engine.run = limited if more else train
sys.exit(main(sys.argv[2:]))
"""


def run(folder: Path, megabytes: int, *args: str) -> subprocess.CompletedProcess[str]:
    """A run whose training may take so many MiB of address space more than there are when it begins; 0: any number."""
    (folder / "wide.toml").write_text(WIDE)
    results = folder / f"within-{megabytes}"
    words = ("run", folder / "wide.toml", "--results", results, "--wandb", "disabled", "--device", "cpu", *args)
    start = command("-c", LIMITED, megabytes, *words)
    return subprocess.run(**start, capture_output=True, check=False, timeout=600)


@pytest.mark.slow
def test_a_run_within_too_little_memory_ends_in_the_bytes_of_another(tmp_path: Path) -> None:
    """32 lanes of 36 MiB each, thrice: the whole shard does not fit into 2000 MiB, and a part of it does."""
    whole = run(tmp_path, 0)
    assert whole.returncode == 0, whole.stderr
    halved = run(tmp_path, 2000)
    assert halved.returncode == 0, halved.stderr
    done = open_results(tmp_path / "within-2000" / "wide")
    assert "lanes at once: shards were halved" in done.manifest["notes"][0]
    assert verify(done.path) == []
    for table in ("lanes", "history", "layers", "histograms"):
        name = f"{table}.parquet"
        assert (done.path / name).read_bytes() == (tmp_path / "within-0" / "wide" / name).read_bytes()
