"""Train on a data set larger than the memory asked for, and print what memory was estimated and what the process took.

Usage: python scripts/stream_check.py [--gb GB] [--memory GIB] [--folder FOLDER]

The images are CIFAR-10's in size, 32 × 32 × 3 of uint8, in a sparse file that hardly takes any disk: all black, but for
one in a thousand. Every one of them is read: for the checksum, for the mean and the deviation, and by both evaluations.
What is printed is in docs/data.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0

import bn_ablate as bn
from bn_ablate.config.architectures import Extent
from bn_ablate.engine import machine, set_up
from bn_ablate.plan import make_plan
from bn_ablate.plan.memory import estimate_bytes
from bn_ablate.plan.memory.host import peak_bytes

SHAPE, EVERY, STEPS = (32, 32, 3), 1000, 500
STUDY = {
    "name": "streamed",
    "seeds": 1,
    "data": {"n_validation": 10_000, "n_test": 10_000},
    "model": {"depth": 1, "width": 16},
    "train": {"steps": STEPS, "batch_size": 256, "learning_rate": 0.01},
    "measure": {"every": 250, "examples": 5000},
    "axes": {"placement": ["pre"]},
}


def made(gb: float, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images in a sparse `file` of so many bytes, mapped, and labels in turn."""
    n = int(gb * 1e9) // int(np.prod(SHAPE))
    with file.open("wb") as images:
        write_array_header_1_0(images, {"descr": "|u1", "fortran_order": False, "shape": (n, *SHAPE)})
        begin = images.tell()
        images.truncate(begin + n * int(np.prod(SHAPE)))
        rng = np.random.default_rng(0)
        for i in range(0, n, EVERY):
            images.seek(begin + i * int(np.prod(SHAPE)))
            images.write(rng.integers(0, 256, SHAPE, np.uint8).tobytes())
    return np.load(file, mmap_mode="r"), np.arange(n) % 10


def main() -> int:
    """Make the data, train, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=20.0)
    parser.add_argument("--memory", type=float, default=3.0, help="GiB that the run may take")
    parser.add_argument("--folder", type=Path, help="where the sparse file is made; a temporary one when not given")
    asked = parser.parse_args()
    set_up("cpu")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        images, labels = made(asked.gb, Path(folder) / "images.npy")
        study, memory = bn.build_study(STUDY), int(asked.memory * 2**30)
        extent = Extent(images.shape[1:], 10, len(images))
        estimated = estimate_bytes(make_plan(study), machine(memory=memory), extent)
        begun = time.perf_counter()
        dataset = bn.Dataset.from_arrays(images, labels, name="sparse")
        checked = time.perf_counter()
        results = bn.run(study, folder, data=dataset, memory=memory, progress=False)
        seconds = time.perf_counter() - checked
        losses = results.lanes["final_train_loss"].to_list()
    assert np.isfinite(losses).all()
    print(
        f"{images.nbytes / 1e9:.1f} GB of images, {len(losses)} lanes of {STEPS:,} steps: "
        f"estimated {estimated / 1e9:.2f} GB, peak {peak_bytes() / 1e9:.2f} GB; checksum {checked - begun:.0f} s, "
        f"study {seconds:.0f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
