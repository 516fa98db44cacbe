"""The examples of a case: as a data set for us, and as plain arrays for the peers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benching.cases import Case
from bn_ablate.config import Study, build_study
from bn_ablate.data import Dataset, batch_indices, draw_split, load, moments
from bn_ablate.data.dataset import fingerprint

HELD_OUT = 64
"""Validation and test examples, each: our engine wants some; evaluating them is not what is measured."""

RANDOM_IMAGES = 256


def dataset_of(case: Case) -> Dataset:
    """The digits, or random images."""
    if case.images == "digits":
        return load("digits")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (RANDOM_IMAGES, 32, 32, 3), np.uint8)
    labels = rng.integers(0, 10, RANDOM_IMAGES).astype(np.int32)
    return Dataset("random", "1.0.0", images, labels, 10, RANDOM_IMAGES, fingerprint(images, labels))


def study_of(case: Case, precision: str = "float32") -> Study:
    """The study that is this case."""
    train = {key: getattr(case, key) for key in ("steps", "batch_size", "learning_rate", "momentum")}
    train["precision"] = precision
    axes = {"placement": case.placements, "activation": case.activations, "dropout_rate": case.rates}
    table: dict[str, Any] = {
        "name": case.name,
        "seeds": case.seeds,
        "data": {"n_validation": HELD_OUT, "n_test": HELD_OUT},
        "model": {"architecture": case.architecture, "depth": case.depth, "width": case.width},
        "norm": {"momentum": case.bn_momentum},
        "train": train,
        "measure": {"every": case.every or case.steps},
        "axes": {axis: list(levels) for axis, levels in axes.items()},
    }
    return build_study(table, source=case.name)


def write_examples(case: Case, path: Path) -> None:
    """Write seed 0's standardized training images `x`, labels `y`, and `positions` (steps, batch) as one .npz file."""
    dataset, settings = dataset_of(case), study_of(case).data
    split = draw_split(dataset, settings, 0)
    mean, std = moments(dataset, settings, split)
    np.savez(
        path,
        x=((dataset.images[split.train] - mean) / std).astype(np.float32),
        y=dataset.labels[split.train],
        positions=batch_indices(len(split.train), case.batch_size, 0, 0, case.steps),
    )


if __name__ == "__main__":
    write_examples(Case.from_json(json.loads(sys.argv[1])), Path(sys.argv[2]))
