"""A study of a published protocol, on images that were given as arrays: as many steps of it as there is time for.

The device's machine need not have TensorFlow Datasets, nor the images on disk in its form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from benching.workers import ROOT

from gpu_checking.section import Section, set_up_jax

STUDY = ROOT / "configs" / "replications" / "p6_resnet20.toml"
METRICS = ("final_test_accuracy", "final_train_accuracy", "final_test_loss", "final_train_loss")
TINY = ("seeds=1", "train.steps=4", "model.depth=3", "model.width=4", "data.n_train=256", "train.batch_size=16")


def run(section: Section) -> None:
    """Train, and leave the results beside the record."""
    if not section.images:
        section.report("skipped", {"skipped": "no images were given: --images FILE.npz"})
        return
    set_up_jax(section.platform, section.folder / "programs")
    section.attempt(STUDY.stem, lambda: _trained(section))


def _trained(section: Section) -> dict[str, Any]:
    """What every network reached, and what it took."""
    import bn_ablate as bn
    from bn_ablate.engine.devices import peak_memory_bytes

    with np.load(section.images) as arrays:
        train, test = ((arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in ("train", "test"))
    images = bn.Dataset.from_arrays(*train, x_test=test[0], y_test=test[1], name="cifar10")
    study = bn.load_study(STUDY, (*(TINY if section.tiny else ()), *section.overrides))
    results = bn.run(study, Path(section.output) / STUDY.stem, data=images, progress=False)
    timing = results.manifest["timing"]
    return {
        "lanes": results.lanes.height,
        "steps": study.train.steps,
        "timing": timing,
        "lane_steps_per_second": timing["lane_steps"] / timing["train_seconds"],
        "strategy": results.manifest["strategy"],
        "peak_bytes": peak_memory_bytes(),
        "networks": results.lanes.select(*study.axes, "seed", *METRICS).to_dicts(),
    }
