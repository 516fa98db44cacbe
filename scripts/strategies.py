"""How far training by one strategy lies from training by another: by optimizer, steps and placement, as a table.

.venv/bin/python scripts/strategies.py
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import polars as pl

import bn_ablate as bn
from bn_ablate.engine import set_up

RATES = {"sgd": 0.1, "adam": 0.01, "rmsprop": 0.01}
"""The learning rate of each optimizer."""

STUDY: dict[str, Any] = {
    "seeds": 3,
    "data": {"n_train": 200, "n_validation": 100, "n_test": 400},
    "model": {"depth": 2, "width": 32},
    "train": {"steps": 200, "batch_size": 32},
    "measure": {"every": 50},
    "axes": {"placement": ["none", "pre", "post"], "activation": ["tanh", "relu"]},
}
SHOWN = (50, 200)


class Way(NamedTuple):
    """How lanes are trained."""

    strategy: Literal["map", "vmap"]
    at_once: int = 1


LANE_BY_LANE, OTHERS = Way("map"), (Way("map", 2), Way("vmap"))


def losses(optimizer: str, way: Way) -> pl.DataFrame:
    """The test loss and accuracy of every lane at the steps that are shown."""
    table = STUDY | {"name": optimizer}
    table["train"] = STUDY["train"] | {"optimizer": optimizer, "learning_rate": RATES[optimizer]}
    with TemporaryDirectory() as place:
        results = bn.run(bn.build_study(table), Path(place), strategy=way.strategy, at_once=way.at_once)
        history = results.history.filter(pl.col("step").is_in(SHOWN))
        wanted = history.select("lane_id", "step", "test_loss", "test_accuracy")
        return wanted.join(results.lanes.select("lane_id", "placement"), on="lane_id")


def main() -> None:
    """Print a Markdown table: the largest difference in test loss over activations and seeds, and that in accuracy."""
    set_up("cpu")
    print("| optimizer | rate | steps | compared with lane by lane | none | pre | post | accuracy, any |")
    print("|---|---|---|---|---|---|---|---|")
    for optimizer, rate in RATES.items():
        alone = losses(optimizer, LANE_BY_LANE)
        for way in OTHERS:
            both = alone.join(losses(optimizer, way), on=["lane_id", "step", "placement"], suffix="_other")
            apart = both.with_columns(
                loss=(pl.col("test_loss") - pl.col("test_loss_other")).abs(),
                accuracy=(pl.col("test_accuracy") - pl.col("test_accuracy_other")).abs(),
            )
            for step in SHOWN:
                here = apart.filter(step=step)
                worst = [max(here.filter(placement=name)["loss"].to_list()) for name in ("none", "pre", "post")]
                said = " | ".join(f"{loss:.1e}" for loss in worst)
                name = "`vmap`" if way.strategy == "vmap" else f"`map`, {way.at_once} at once"
                print(
                    f"| {optimizer} | {rate:g} | {step} | {name} | {said} | {max(here['accuracy'].to_list()):.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
