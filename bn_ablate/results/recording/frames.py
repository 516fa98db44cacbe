"""From what the engine hands over to tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.config.measures import SITES
from bn_ablate.results.recording.lane_rows import lane_columns
from bn_ablate.results.recording.measured import by_lane, measured

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.engine import Outcome


def tables_of(outcome: Outcome) -> dict[str, pl.DataFrame]:
    """The tables of a shard: `lanes`, `history`, `layers`, `histograms`."""
    import polars as pl

    found, steps, lane_ids = measured(outcome), np.asarray(outcome.steps), np.asarray(outcome.shard.lane_ids)
    lanes, times, depth = found.layers["gradient_norm"].shape
    history = {"lane_id": np.repeat(lane_ids, times), "step": np.tile(steps, lanes)}
    layers = {
        "lane_id": np.repeat(lane_ids, times * depth),
        "step": np.tile(np.repeat(steps, depth), lanes),
        "layer": np.tile(np.arange(depth), lanes * times),
    }
    return {
        "lanes": pl.DataFrame(_columns(lane_columns(outcome, found))),
        "history": pl.DataFrame(_columns(history | found.history)),
        "layers": pl.DataFrame(_columns(layers | found.layers)),
        "histograms": _histograms(by_lane(outcome.observations.histograms), lane_ids, steps),
    }


def _columns(arrays: dict[str, Any]) -> dict[str, pl.Series]:
    """`arrays` as columns, row by row; what is masked is null."""
    import polars as pl

    return {
        name: pl.Series(np.ma.getdata(values).ravel()).set(pl.Series(np.ma.getmaskarray(values).ravel()), None)
        for name, values in arrays.items()
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
            "counts": pl.Series(ends.reshape(-1, bins).astype(np.int64)).arr.to_list(),
        }
    )
