"""A data set of one's own: does BN help a small network on a table of numbers?

.venv/bin/python examples/own_data.py

569 tumours, 30 numbers each, benign or malignant: scikit-learn's breast-cancer data.
"""

from pathlib import Path
from typing import Any

import polars as pl
from sklearn.datasets import load_breast_cancer

import bn_ablate as bn

STUDY: dict[str, Any] = {
    "name": "own_data",
    "seeds": 6,
    "data": {"standardize": "feature"},
    "model": {"width": 32},
    "train": {"steps": 200, "batch_size": 32},
    "axes": {"placement": ["none", "pre", "post"], "activation": ["relu", "sigmoid"]},
}


def main(results: str | Path = "results", **train: int) -> bn.Results:
    """Train the study, with other settings of training where they are given, and write its report."""
    x, y = load_breast_cancer(return_X_y=True)
    data = bn.Dataset.from_arrays(x.astype("float32"), y, name="breast_cancer")
    study = bn.build_study(STUDY | {"train": STUDY["train"] | train})
    done = bn.run(study, results, data=data)
    bn.write_report(done.path)
    return done


if __name__ == "__main__":
    found = main().lanes.group_by("placement", "activation", maintain_order=True)
    print(found.agg(pl.mean("final_test_accuracy")))
