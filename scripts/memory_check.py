"""Hold the memory that a study is estimated to take to what it takes: 24 convolutional networks on CIFAR-10, on a CPU.

Usage: python scripts/memory_check.py [--data NAME]

NAME is a prepared data set, `cifar10` by default. Nothing that was compiled before is used, since compiling is part of
the peak.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import bn_ablate as bn
from bn_ablate.data import extent_of
from bn_ablate.engine import machine, set_up
from bn_ablate.plan import make_plan
from bn_ablate.plan.memory import estimate_bytes
from bn_ablate.plan.memory.host import peak_bytes


def main() -> int:
    """Train, and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", help="a prepared data set")
    name = parser.parse_args().data
    study = bn.build_study(
        name="memory",
        seeds=2,
        data={"name": name, "n_train": 2000, "n_validation": 1000, "n_test": 1000},
        model={"architecture": "cnn", "depth": 5, "width": 16},
        train={"steps": 8, "batch_size": 128, "learning_rate": 0.01},
        measure={"every": 8},
        axes={"placement": ["none", "pre", "post"], "activation": ["relu", "gelu"], "dropout_rate": [0.0, 0.3]},
    )
    plan = make_plan(study)
    with tempfile.TemporaryDirectory() as folder:
        set_up("cpu", cache=Path(folder))
        bn.run(plan, folder, progress=False)
    estimated, peak = estimate_bytes(plan, machine(), extent_of(name)), peak_bytes()
    print(
        f"{plan.n_lanes} networks on {name}: estimated {estimated / 1e6:,.0f} MB, peak {peak / 1e6:,.0f} MB, "
        f"off by {estimated / peak - 1:+.0%}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
