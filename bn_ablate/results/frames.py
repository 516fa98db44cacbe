"""From what the engine hands over to tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.results.tables import CURVES, PARTS, SITES

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.engine import Outcome


def tables_of(outcome: Outcome) -> dict[str, pl.DataFrame]:
    """The tables of a shard: `lanes`, `history`, `layers`, `histograms`."""
    import polars as pl

    seen, steps = outcome.observations, np.asarray(outcome.steps)
    times, n_seeds, n_cells, _ = seen.loss.shape
    lanes = n_seeds * n_cells
    lane_ids = np.asarray(outcome.shard.lane_ids)

    def by_lane(leaf: Any) -> np.ndarray:
        """(times, seeds, cells, …) as (lanes, times, …)."""
        return np.moveaxis(np.asarray(leaf).reshape(times, lanes, *leaf.shape[3:]), 0, 1)

    curves = {
        f"{part}_{what}": by_lane(getattr(seen, what))[:, :, i].astype(float)
        for i, part in enumerate(PARTS)
        for what in ("loss", "accuracy")
    }
    taken = np.diff(steps, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        batch_loss = by_lane(seen.loss_sum) / taken
    history = {"lane_id": np.repeat(lane_ids, times), "step": np.tile(steps, lanes), "batch_loss": batch_loss.ravel()}
    history |= {name: values.ravel() for name, values in curves.items()}

    by_layer = {name: by_lane(leaf) for name, leaf in seen.layers._asdict().items()}
    by_layer["gradient_norm"] = by_lane(seen.gradient_norm)
    depth = seen.gradient_norm.shape[-1]
    layers = {
        "lane_id": np.repeat(lane_ids, times * depth),
        "step": np.tile(np.repeat(steps, depth), lanes),
        "layer": np.tile(np.arange(depth), lanes * times),
    }
    layers |= {name: values.ravel() for name, values in by_layer.items()}
    return {
        "lanes": pl.DataFrame(_lanes(outcome, lane_ids, curves, by_layer)),
        "history": pl.DataFrame(history),
        "layers": pl.DataFrame(layers),
        "histograms": _histograms(by_lane(seen.histograms), lane_ids, steps),
    }


def _lanes(
    outcome: Outcome, lane_ids: np.ndarray, curves: dict[str, np.ndarray], by_layer: dict[str, np.ndarray]
) -> dict[str, Any]:
    """A row per lane: status, final and best metrics, and the layer measures at the end, averaged over layers.

    The best step is the measured one of lowest validation loss. The gaps are test − train for the loss and train − test
    for the accuracy, both in eval mode at the end.
    """
    steps = np.asarray(outcome.steps)
    final = {name: values[:, -1] for name, values in curves.items()}
    broken = ~np.isfinite(final["train_loss"])
    diverged_at = outcome.diverged_at.ravel()
    diverged_at = np.where((diverged_at < 0) & broken, steps[-1], diverged_at)
    validation = np.where(np.isfinite(curves["validation_loss"]), curves["validation_loss"], np.inf)
    best = validation.argmin(axis=1)
    rows = np.arange(len(lane_ids))
    ends = {name: values[:, -1] for name, values in by_layer.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = ends["gradient_norm"][:, 0] / ends["gradient_norm"][:, -1]
    return {
        "lane_id": lane_ids,
        "seed": np.repeat(outcome.shard.seeds, len(outcome.shard.cells)),
        "status": np.where(diverged_at >= 0, "diverged", "ok"),
        "diverged_at": [int(step) if step >= 0 else None for step in diverged_at],
        **{f"final_{name}": final[name] for name in CURVES},
        "best_step": steps[best],
        **{f"best_{name}": curves[name][rows, best] for name in CURVES},
        "gap": final["test_loss"] - final["train_loss"],
        "accuracy_gap": final["train_accuracy"] - final["test_accuracy"],
        **{name: ends[name].mean(axis=1) for name in ("saturated", "in_band", "zero_share")},
        "gradient_ratio": ratio,
    }


def _histograms(counts: np.ndarray, lane_ids: np.ndarray, steps: np.ndarray) -> pl.DataFrame:
    """The histograms of the first and the last measurement; `counts` is (lanes, times, layers, sites, bins)."""
    import polars as pl

    from bn_ablate.measure import HIGH, LOW

    ends = counts[:, [0, -1]]
    lanes, times, depth, sites, bins = ends.shape
    return pl.DataFrame(
        {
            "lane_id": np.repeat(lane_ids, times * depth * sites),
            "step": np.tile(np.repeat(steps[[0, -1]], depth * sites), lanes),
            "layer": np.tile(np.repeat(np.arange(depth), sites), lanes * times),
            "site": np.tile(np.asarray(SITES), lanes * times * depth),
            "low": LOW,
            "high": HIGH,
            "counts": ends.reshape(math.prod(ends.shape[:-1]), bins).astype(np.int64).tolist(),
        }
    )
