"""The commands of docs/data.md, as they stand there; those about large data where a folder holds the files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import Dataset, load

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"^    (.+)$", (ROOT / "docs" / "data.md").read_text(), re.MULTILINE)
DOWNLOADS = os.environ.get("BN_ABLATE_DOWNLOADS", "")
downloaded = pytest.mark.skipif(
    not DOWNLOADS, reason="BN_ABLATE_DOWNLOADS names no folder with mnist/, cifar10-png.zip"
)


def run(here: Path, of: str) -> Dataset:
    """Run the commands about the data set `of`, and return it."""
    (here / "configs").symlink_to(ROOT / "configs")
    if DOWNLOADS:
        (here / "downloads").symlink_to(DOWNLOADS)
    place = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    python = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    commands = [command for command in COMMANDS if of in command]
    assert len(commands) >= 2
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command.replace("bn-ablate", f"{sys.executable} -m bn_ablate.cli", 1)],
            cwd=here,
            env=os.environ | {"PATH": place, "PYTHONPATH": python},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return load(of)


@pytest.mark.slow
def test_a_table(tmp_path):
    data = run(tmp_path, "wine")
    assert data.extent == ((1, 1, 13), 3, 178)
    assert bn.open_results(tmp_path / "results" / "on_wine").lanes["final_test_accuracy"].mean() > 0.85


@pytest.mark.slow
@downloaded
def test_original_files(tmp_path):
    data = run(tmp_path, "mnist")
    assert (data.extent, data.n_official_train) == (((28, 28, 1), 10, 70_000), 60_000)
    assert bn.open_results(tmp_path / "results" / "on_mnist").lanes["final_test_accuracy"].max() > 0.85


@pytest.mark.slow
@downloaded
def test_class_folders_in_a_zip_file(tmp_path):
    data = run(tmp_path, "cifar10_png")
    train, test = data.labels[:50_000], data.labels[50_000:]
    assert (np.bincount(train).tolist(), np.bincount(test).tolist()) == ([5000] * 10, [1000] * 10)
    means = data.images[:50_000].mean(axis=(0, 1, 2)) / 255  # of the published set, as torchvision's users know them
    assert means.round(4).tolist() == [0.4914, 0.4822, 0.4465]
    assert bn.open_results(tmp_path / "results" / "on_cifar10").lanes["final_test_accuracy"].max() > 0.25
