"""The keys of a study that settle the examples, the training and the measurements: `data`, `train` and `measure`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PlainValidator,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from bn_ablate.config.factor import Factor
from bn_ablate.config.measures import MEASURES
from bn_ablate.config.metrics import MeasureName
from bn_ablate.config.names import (
    SIZED,
    AugmentationName,
    AverageName,
    DecayOn,
    Kept,
    OptimizerName,
    Precision,
    ScheduleName,
    Trainable,
)
from bn_ablate.config.precision import Share32
from bn_ablate.config.section import Count, Name, NonNegative, Positive, Section
from bn_ablate.config.training_acting import (
    WHERE_TRAINED,
    WITH_AVERAGE,
    WITH_DECAY,
    WITH_DECAYING_AVERAGE,
    WITH_DROPS,
    WITH_MOMENTUM,
    WITH_MOMENTUM_ABOVE_0,
    WITH_SIZED_AUGMENTATION,
    WITH_TRAINED_DECAY,
    WITH_WARMUP,
    same_average_starts,
    same_averages,
    same_decays,
    same_milestones,
    same_optimizers,
    same_schedules,
    same_trainables,
    same_warmups,
)


class Data(Section):
    """Where the examples come from and how one seed divides them."""

    name: Name = Field("digits", description="a registered TFDS image-classification data set")
    n_train: Annotated[Count | None, Factor(traced=False, prefix="n")] = Field(
        None, description="training examples; all that are left when absent"
    )
    n_validation: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        None, description="validation examples; a sixth of the pool when absent; 0 where nothing is chosen by them"
    )
    n_test: Count | None = Field(None, description="test examples; all that are left when absent")
    split: Literal["seeded", "fixed", "official"] = Field(
        "seeded",
        description="seeded: the seed draws train, validation and test, stratified by class; fixed: one such draw "
        "for all seeds; official: the data set's own test split, the seed draws train and validation",
    )
    standardize: Annotated[Literal["channel", "feature", "unit", "none"], Factor(traced=False, prefix="std-")] = Field(
        "channel",
        description="zero mean and unit variance, by statistics of the training examples only, of each channel or of "
        "each pixel and channel (feature); or uint8 as numbers from 0 to 1 (unit), or as they are (none)",
    )
    random_labels: Annotated[float, Field(ge=0.0, le=1.0), Factor(traced=False, prefix="random")] = Field(
        0.0, description="the share of training labels that are replaced by ones drawn evenly from all classes"
    )
    augment: Annotated[AugmentationName, Factor(traced=False, prefix="aug-")] = Field(
        "none",
        description="what is done to training images: mirrored (flip), moved with zeros coming in (crop), both "
        "(crop_flip), moved with their edges mirrored (shift), a square of zeros (cutout)",
    )
    augment_size: Annotated[Count | None, Factor(traced=False, prefix="px", acts=WITH_SIZED_AUGMENTATION)] = Field(
        None, description="pixels to move by at most, an eighth of the height when absent; for cutout its side, a half"
    )

    def pixels(self, height: int) -> int:
        """The size of the augmentation for images of this height; 0 where it has none."""
        share = SIZED.get(self.augment)
        return 0 if share is None else self.augment_size or max(1, int(share * height))


def _milestone(given: Any) -> int | float:
    """A step, or a share of the training.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    if isinstance(given, float) and 0.0 < given < 1.0:
        return given
    raise ValueError(f"is {given!r}: a milestone is a step, 1 or more, or a share of the training between 0 and 1")


Milestone = Annotated[int | float, PlainValidator(_milestone)]


SWA_START = 0.75
"""From which share of the training on weights are averaged (Izmailov et al. 2018, arXiv 1803.05407)."""


class Train(Section):
    """The optimization."""

    steps: Annotated[Count, Factor(traced=False, prefix="t")] = Field(400, description="training steps")
    epochs: Annotated[Positive, Field(le=1e6)] | None = Field(
        None, description="in the place of steps: how often each training example is seen, rounded up to whole steps"
    )
    batch_size: Annotated[Count, Factor(traced=False, prefix="b")] = Field(
        64, description="examples in a training batch"
    )
    optimizer: Annotated[OptimizerName, Factor(traced=False, prefix="", acts=WHERE_TRAINED, alike=same_optimizers)] = (
        Field("sgd", description="the rule of the updates")
    )
    learning_rate: Annotated[Positive, Factor(traced=True, prefix="lr", acts=WHERE_TRAINED)] = Field(
        0.1, description="the highest rate of the schedule"
    )
    momentum: Annotated[Share32, Field(lt=1.0), Factor(traced=False, prefix="m", acts=WITH_MOMENTUM)] = Field(
        0.9, description="of the update; 0 switches it off"
    )
    nesterov: Annotated[bool, Factor(traced=False, prefix="nesterov-", acts=WITH_MOMENTUM_ABOVE_0)] = Field(
        False, description="Nesterov's form of the momentum"
    )
    weight_decay: Annotated[NonNegative, Factor(traced=True, prefix="wd", acts=WITH_TRAINED_DECAY)] = Field(
        0.0, description="of what decay_on says; coupled (L2) for sgd, adam and rmsprop, decoupled for adamw"
    )
    decay_on: Annotated[DecayOn, Factor(traced=True, prefix="decay-", acts=WITH_DECAY, alike=same_decays)] = Field(
        "kernels", description="which parameters decay: kernels, all, or all but gamma and beta (all_but_norm)"
    )
    label_smoothing: Annotated[Share32, Field(lt=1.0), Factor(traced=True, prefix="ls")] = Field(
        0.0, description="the share of a training label that is spread evenly over all classes"
    )
    clip_norm: Annotated[NonNegative, Factor(traced=True, prefix="clip", acts=WHERE_TRAINED)] = Field(
        0.0, description="the most that the L2 norm of the whole gradient may be; 0 does not clip"
    )
    trainable: Annotated[Trainable, Factor(traced=True, prefix="train-", alike=same_trainables)] = Field(
        "all",
        description="what is trained, the rest keeping its initial values: all; all but BN's scales (gamma), or its "
        "biases (beta); or affine_only, those two and nothing else",
    )
    schedule: Annotated[ScheduleName, Factor(traced=False, prefix="", acts=WHERE_TRAINED, alike=same_schedules)] = (
        Field(
            "constant",
            description="the learning rate after the warm-up: constant; lower from each milestone on (step); falling "
            "to 0 at the end of the steps (cosine, linear); or up to its peak and down again, without a warm-up before "
            "(one_cycle)",
        )
    )
    milestones: Annotated[
        tuple[Milestone, ...],
        Factor(traced=False, prefix="at", acts=WITH_DROPS, alike=same_milestones, is_axis=False),
    ] = Field(
        (0.5, 0.75), description="for schedule = step: steps from which on the rate is lower, or shares of the training"
    )
    decay_factor: Annotated[Share32, Field(gt=0.0, lt=1.0), Factor(traced=False, prefix="x", acts=WITH_DROPS)] = Field(
        0.1, description="for schedule = step: what the rate is multiplied by at each milestone"
    )
    average: Annotated[AverageName, Factor(traced=False, prefix="avg-", acts=WHERE_TRAINED, alike=same_averages)] = (
        Field(
            "none",
            description="averaged weights, evaluated beside the last ones with BN's statistics recalibrated for them: "
            "moving (ema), or of all steps alike (swa)",
        )
    )
    average_decay: Annotated[
        Share32, Field(gt=0.0, lt=1.0), Factor(traced=False, prefix="avgm", acts=WITH_DECAYING_AVERAGE)
    ] = Field(
        0.999, description="for average = ema: w = average_decay * w + (1 - average_decay) * the weights, each step"
    )
    average_start: Annotated[
        Milestone | None, Factor(traced=False, prefix="from", acts=WITH_AVERAGE, alike=same_average_starts)
    ] = Field(
        None,
        description="the step whose weights the average begins with, or a share of the training; when absent, 0.75 for "
        "swa, and the initial weights for ema",
    )
    precision: Annotated[Precision, Factor(traced=False, prefix="")] = Field(
        "float32",
        description="of the network's arithmetic; tensorfloat32 is float32 but for products and convolutions, whose "
        "factors may be rounded to TF32 where the device has it; parameters, moving statistics and losses stay float32",
    )
    warmup_steps: Annotated[
        int, Field(ge=0), Factor(traced=False, prefix="warm", acts=WITH_WARMUP, alike=same_warmups)
    ] = Field(0, description="steps in which the learning rate rises linearly")

    @property
    def drops(self) -> tuple[int, ...]:
        """The milestones before the end, as steps from 0 on, in their order."""
        steps = (max(1, round(said * self.steps)) if said < 1 else int(said) for said in self.milestones)
        return tuple(sorted(step for step in steps if step < self.steps))

    @property
    def averaged_from(self) -> int:
        """How many steps are done when the average begins, with the weights of then; all of them, or more: never."""
        said = {"swa": SWA_START}.get(self.average, 0) if self.average_start is None else self.average_start
        return int(said * self.steps) if isinstance(said, float) else said

    @property
    def averages(self) -> bool:
        """Whether there is an average, of more than the weights of one step."""
        return self.average != "none" and self.averaged_from < self.steps

    @property
    def length(self) -> str:
        """How long training is, in words."""
        return f"{self.steps:,} steps" if self.epochs is None else f"{self.epochs:g} epoch{'s' * (self.epochs != 1)}"

    @model_serializer(mode="wrap")
    def _said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `steps` where it is epochs that settle the length."""
        said: dict[str, Any] = dump(self)
        if self.epochs is not None:
            said.pop("steps", None)
        return said

    @model_validator(mode="after")
    def _length_is_said_once(self) -> Train:
        if self.epochs is not None and "steps" in self.model_fields_set:
            raise ValueError(f"steps = {self.steps} and epochs = {self.epochs:g}: one of the two says how long it is")
        return self

    @model_validator(mode="after")
    def _warmup_fits(self) -> Train:
        if self.epochs is None and self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps = {self.warmup_steps} leaves no step of steps = {self.steps}; make it smaller"
            )
        return self


class Measure(Section):
    """When and on what the lane is measured."""

    every: Count = Field(50, description="steps between two measurements; the start and the end are always measured")
    probe: Count = Field(256, description="training examples, at most, for the measures by layer")
    examples: Count | None = Field(
        None,
        description="examples of each split, at most, for curves between the start and the end; all when absent",
    )
    eval_batch: Count = Field(256, description="examples, at most, in one evaluation pass")
    also: tuple[MeasureName, ...] = Field((), description="measures that cost time, and are only taken when asked for")
    loss_threshold: Positive | None = Field(
        None, description="training loss, in nats, to count the steps to; they are not counted when absent"
    )
    keep: tuple[Kept, ...] = Field(
        (),
        description="weights to store: those of the end, of the lowest validation loss, of every measurement; averaged "
        "ones, with the statistics recalibrated for them",
        exclude_if=lambda keep: not keep,
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list) else given

    @field_validator("also", mode="after")
    @classmethod
    def _also_in_order(cls, also: tuple[MeasureName, ...]) -> tuple[str, ...]:
        return (*(name for name in MEASURES.own if name in also), *sorted({*also} - {*MEASURES.own}))
