"""What the row of a lane says: metrics that sum up its measurements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.config.measures import UNIT
from bn_ablate.results.recording.measured import Masked, Measured, columns_of, nothing

if TYPE_CHECKING:
    from bn_ablate.engine import Outcome

TRAINED = 0.1
"""A lane has trained when its accuracy has come this share of the way from chance to perfect."""


def mean(values: Masked) -> Masked:
    """The mean along the last axis over what is not masked; not finite where some of that is not.

    NumPy's own mean of a masked array masks what is not finite, as if a lane that diverged had not been measured.
    """
    there = ~np.ma.getmaskarray(values)
    n = there.sum(axis=-1)
    total = np.where(there, values.data, 0.0).sum(axis=-1)
    return np.ma.array(total / np.maximum(n, 1), mask=n == 0)


def slope(y: np.ndarray) -> Masked:
    """The least-squares slope of each row of `y` over 0, 1, 2, …; masked where there is but one point."""
    x = np.arange(y.shape[1]) - (y.shape[1] - 1) / 2
    if len(x) == 1:
        return nothing(len(y))
    # no matrix product: that rounds by how many lanes there are, and a lane must be what it is alone
    return np.ma.asarray((y * x).sum(axis=-1) / (x * x).sum())


FORMS: dict[str, Callable[[Masked], Masked]] = {
    "last": lambda history: history[:, -1],
    "mean": mean,
    **{
        f"{form}_{when}": partial(lambda layers, of, at: of(layers[:, at]), of=of, at=at)
        for when, at in (("end", -1), ("start", 0))
        for form, of in {
            "layers": mean,
            "first": lambda layers: layers[:, 0],
            "max": lambda layers: layers.max(axis=1),
            "ratio": lambda layers: np.ma.asarray(layers.data[:, 0] / layers.data[:, -1]),
            "slope": lambda layers: slope(np.log10(layers.data)),
        }.items()
    },
}
"""How a measure (lanes, times) or (lanes, times, layers) is summed up, besides by its value at the best step."""


def lane_columns(outcome: Outcome, measured: Measured) -> dict[str, Any]:
    """The columns of the `lanes` table, each with an entry per lane; masked entries are null.

    What sums up a measure by one of `FORMS` or at the best step, and what is the difference of two metrics, is as
    declared in `config.metrics`; the others are here.
    """
    steps, history = np.asarray(outcome.steps), measured.history
    lanes, cells = outcome.shard.lane_ids, outcome.shard.cells
    loss, accuracy = (history[f"train_{what}"].data[:, -1] for what in ("loss", "accuracy"))
    diverged_at = outcome.diverged_at.ravel()
    diverged_at = np.where((diverged_at < 0) & ~np.isfinite(loss), steps[-1], diverged_at)
    validation = history["validation_loss"]
    best = np.where(np.isfinite(validation.data), validation.data, np.inf).argmin(axis=1)
    chosen = ~np.ma.getmaskarray(validation)[:, -1]
    chance = np.repeat(outcome.chance, len(cells))
    forms: dict[str, Callable[[Masked], Masked]] = {
        **FORMS,
        "best": lambda history: np.ma.array(history[np.arange(len(lanes)), best], mask=~chosen),
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "lane_id": np.asarray(lanes),
            "seed": np.repeat(outcome.shard.seeds, len(cells)),
            "status": np.where(diverged_at >= 0, "diverged", "ok"),
            "diverged_at": np.ma.masked_less(diverged_at, 0),
            "best_step": np.ma.array(steps[best], mask=~chosen),
            "trained": 1.0 * (accuracy >= chance + TRAINED * (1.0 - chance)),
            **_steps_to_loss(history["train_loss"].data, steps, cells[0].settings.measure.loss_threshold),
            "unit_drift": _drift(measured.layers),
        }
        for name, metric in columns_of(cells)["lanes"].items():
            if metric.of:
                found[name] = forms[metric.form]((history | measured.layers)[metric.of])
            elif metric.minus:
                found[name] = found[metric.minus[0]] - found[metric.minus[1]]
    return found


def _steps_to_loss(losses: np.ndarray, steps: np.ndarray, threshold: float | None) -> dict[str, Masked]:
    """The first measured step at which the loss is at most `threshold`, and whether there is one.

    A lane that never gets there counts with the step at which it was given up, that of the last measurement: less than
    it would have taken, so that it is never made to look worse than it was.
    """
    lanes = len(losses)
    if threshold is None:
        return {"steps_to_loss": nothing(lanes), "reached_loss": nothing(lanes)}
    there = losses <= threshold
    reached = there.any(axis=1)
    return {
        "steps_to_loss": np.ma.asarray(np.where(reached, steps[there.argmax(axis=1)], steps[-1]), float),
        "reached_loss": np.ma.asarray(reached, float),
    }


def _drift(layers: dict[str, Masked]) -> Masked:
    """How far the percentiles of the last hidden layer's unit go from one measurement to the next, on average."""
    ends = [layers[of.name][:, :, -1] for of in UNIT]
    return mean(np.ma.stack([mean(abs(end[:, 1:] - end[:, :-1])) for end in ends], axis=-1))
