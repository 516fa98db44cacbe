"""What the row of a lane says: metrics that sum up its measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.results.recording.columns import CURVES, EVALUATED, LANDSCAPE, OF_BN, OFF, PERCENTILES, PROBED
from bn_ablate.results.recording.measured import Masked, Measured, nothing

if TYPE_CHECKING:
    from bn_ablate.engine import Outcome

TRAINED = 0.1
"""A lane has trained when its accuracy has come this share of the way from chance to perfect."""


def lane_columns(outcome: Outcome, measured: Measured) -> dict[str, Any]:
    """The columns of the `lanes` table, each with an entry per lane; masked entries are null.

    The best step is the measured one of lowest validation loss. The gaps are test − train for the loss and train − test
    for the accuracy, both in eval mode at the end. A measure by layer appears as its mean over the layers at the end
    (`<measure>`) and at the start (`<measure>_start`), and as that of the first layer (`first_<measure>`,
    `first_<measure>_start`).
    """
    steps, history, layers = np.asarray(outcome.steps), measured.history, measured.layers
    lane_ids = outcome.shard.lane_ids
    final = {name: history[name][:, -1] for name in (*CURVES, *EVALUATED)}
    diverged_at = outcome.diverged_at.ravel()
    diverged_at = np.where((diverged_at < 0) & ~np.isfinite(final["train_loss"].data), steps[-1], diverged_at)
    validation = history["validation_loss"].data
    best = np.where(np.isfinite(validation), validation, np.inf).argmin(axis=1)
    chance = np.repeat(outcome.chance, len(outcome.shard.cells))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "lane_id": np.asarray(lane_ids),
            "seed": np.repeat(outcome.shard.seeds, len(outcome.shard.cells)),
            "status": np.where(diverged_at >= 0, "diverged", "ok"),
            "diverged_at": np.ma.masked_less(diverged_at, 0),
            **{f"final_{name}": final[name] for name in CURVES},
            "best_step": steps[best],
            **{f"best_{name}": history[name][np.arange(len(lane_ids)), best] for name in CURVES},
            **{name: final[name] for name in EVALUATED},
            "recovered_train_loss": final["train_loss"] - final["recalibrated_train_loss"],
            "recovered_test_loss": final["test_loss"] - final["recalibrated_test_loss"],
            "gap": final["test_loss"] - final["train_loss"],
            "accuracy_gap": final["train_accuracy"] - final["test_accuracy"],
            "recalibrated_gap": final["recalibrated_test_loss"] - final["recalibrated_train_loss"],
            "trained": 1.0 * (final["train_accuracy"] >= chance + TRAINED * (1.0 - chance)),
            **_steps_to_loss(history["train_loss"].data, steps, outcome.shard.cells[0].settings.measure.loss_threshold),
            **_by_layer(layers),
            **{name: mean(history[name]) for name in LANDSCAPE},
            "unit_drift": _drift(layers),
        }


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


def _by_layer(layers: dict[str, Masked]) -> dict[str, Masked]:
    """What the measures by layer come to, at the start and at the end."""
    found: dict[str, Masked] = {}
    for when, at in (("", -1), ("_start", 0)):
        for name in (*PROBED, *OFF):
            found[f"{name}{when}"] = mean(layers[name][:, at])
            found[f"first_{name}{when}"] = layers[name][:, at, 0]
        norms = layers["gradient_norm"].data[:, at]
        found[f"gradient_ratio{when}"] = np.ma.asarray(norms[:, 0] / norms[:, -1])
        found[f"gradient_slope{when}"] = slope(np.log10(norms))
    found |= {name: mean(layers[name][:, -1]) for name in OF_BN}
    found["variance_shift_max"] = layers["variance_shift"][:, -1].max(axis=1)
    return found


def slope(y: np.ndarray) -> Masked:
    """The least-squares slope of each row of `y` over 0, 1, 2, …; masked where there is but one point."""
    x = np.arange(y.shape[1]) - (y.shape[1] - 1) / 2
    if len(x) == 1:
        return nothing(len(y))
    # no matrix product: that rounds by how many lanes there are, and a lane must be what it is alone
    return np.ma.asarray((y * x).sum(axis=-1) / (x * x).sum())


def _drift(layers: dict[str, Masked]) -> Masked:
    """How far the percentiles of the last hidden layer's unit go from one measurement to the next, on average."""
    ends = [layers[name][:, :, -1] for name in PERCENTILES]
    return mean(np.ma.stack([mean(abs(end[:, 1:] - end[:, :-1])) for end in ends], axis=-1))


def mean(values: Masked) -> Masked:
    """The mean along the last axis over what is not masked; not finite where some of that is not.

    NumPy's own mean of a masked array masks what is not finite, as if a lane that diverged had not been measured.
    """
    there = ~np.ma.getmaskarray(values)
    n = there.sum(axis=-1)
    total = np.where(there, values.data, 0.0).sum(axis=-1)
    return np.ma.array(total / np.maximum(n, 1), mask=n == 0)
