"""When a factor of the training acts, and at which levels it trains alike; `acting` has those of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bn_ablate.config.acting import When, stays_one, stays_zero
from bn_ablate.config.names import SIZED

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings


WITH_SIZED_AUGMENTATION = When(
    "with data.augment crop, crop_flip, shift or cutout", lambda lane: lane.data.augment in SIZED
)
WHERE_TRAINED = When(
    "where something is trained (with train.trainable = affine_only, that takes BN with γ or β)",
    lambda lane: lane.trains_something,
)
WITH_TRAINED_DECAY = When(
    "where kernels are trained (train.trainable is not affine_only), or train.decay_on = all decays γ and β",
    lambda lane: lane.train.trainable != "affine_only" or (lane.train.decay_on == "all" and lane.trains_something),
)
WITH_DECAY = When(
    "where train.weight_decay is above 0, and something is trained",
    lambda lane: lane.train.weight_decay > 0 and lane.trains_something,
)
WITH_MOMENTUM = When(
    "with other optimizers than adam and adamw",
    lambda lane: lane.trains_something and lane.train.optimizer not in ("adam", "adamw"),
)
WITH_MOMENTUM_ABOVE_0 = When(
    "with other optimizers than adam and adamw, at a momentum above 0",
    lambda lane: WITH_MOMENTUM.holds(lane) and lane.train.momentum > 0,
)
WITH_WARMUP = When(
    "where something is trained, and train.schedule is not one_cycle, which rises by itself",
    lambda lane: lane.trains_something and lane.train.schedule != "one_cycle",
)
WITH_DROPS = When(
    "with train.schedule = step, and train.milestones before the end",
    lambda lane: lane.trains_something and lane.train.schedule == "step" and bool(lane.train.drops),
)
WITH_AVERAGE = When(
    "where something is trained, and train.average is ema or swa",
    lambda lane: lane.trains_something and lane.train.average != "none",
)
WITH_DECAYING_AVERAGE = When(
    "with train.average = ema that starts before the end",
    lambda lane: WITH_AVERAGE.holds(lane) and lane.train.average == "ema" and lane.train.averages,
)


def same_trainables(lane: LaneSettings) -> tuple[str, ...]:
    """What is trained: all of it, where what is frozen is not there, or as good as none."""
    frozen = lane.train.trainable
    no_scale = frozen == "all_but_scale" and (not lane.has_scale or stays_one(lane))
    no_bias = frozen == "all_but_bias" and (not lane.has_bias or stays_zero(lane))
    return ("all",) if no_scale or no_bias else (frozen,)


def same_decays(lane: LaneSettings) -> tuple[str, ...]:
    """What decays, as far as it is there and trained."""
    trainable, on = lane.train.trainable, lane.train.decay_on
    if trainable == "affine_only" and on != "all":
        return ("kernels", "all_but_norm")
    scale, bias = lane.has_scale and trainable != "all_but_scale", lane.has_bias and trainable != "all_but_bias"
    return (on,) if on == "kernels" or scale or bias or lane.has_alpha else ("all_but_norm", "all")


def same_schedules(lane: LaneSettings) -> tuple[str, ...]:
    """The schedule, or `constant` where nothing falls before the end: without a milestone, or with one step left."""
    train = lane.train
    short = ("cosine", "linear") if train.steps - train.warmup_steps <= 1 else ()
    constant = ("constant", *short, *["one_cycle"] * (train.steps == 1))
    unchanged = train.schedule in constant or (train.schedule == "step" and not train.drops)
    return constant if unchanged else (train.schedule,)


def same_milestones(lane: LaneSettings) -> tuple[tuple[int, ...]]:
    """The milestones, as the steps that they are."""
    return (lane.train.drops,)


def same_warmups(lane: LaneSettings) -> tuple[int, ...]:
    """The steps of the warm-up: the first of them has the full rate where there is one."""
    stays, none = lane.train.schedule in ("constant", "step"), (0, 1)
    return none if stays and lane.train.warmup_steps in none else (lane.train.warmup_steps,)


def same_averages(lane: LaneSettings) -> tuple[str, ...]:
    """The average; one that starts at the end is the last weights, whichever it is."""
    started = lane.train.average == "none" or lane.train.averages
    return (lane.train.average,) if started else ("ema", "swa")


def same_average_starts(lane: LaneSettings) -> tuple[int | None, ...]:
    """The start as the step that it is; None where that is the average's own."""
    train = lane.train
    own = train.model_copy(update={"average_start": None})
    start = min(train.averaged_from, train.steps)
    return (None,) if train.averages and start == own.averaged_from else (start,)


def same_optimizers(lane: LaneSettings) -> tuple[str, ...]:
    """The optimizers that do the same: adam and adamw where nothing decays."""
    decays = WITH_TRAINED_DECAY.holds(lane) and lane.train.weight_decay > 0
    both = ("adam", "adamw")
    return both if lane.train.optimizer in both and not decays else (lane.train.optimizer,)
