"""The study schema: what a TOML file may say, and what each key means.

Everything here is frozen and strict. A `Study` holds the base settings of one lane (`data`, `model`, `norm`, `dropout`,
`train`, `measure`), the axes that span the grid around them, and the hypotheses to be tested on the results.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from bn_ablate.config.acting import (
    ON_RESIDUALS,
    WHERE_RATE_FALLS,
    WHERE_TRAINED,
    WHERE_UNITS_DROP,
    WITH_BIAS,
    WITH_BN,
    WITH_CORRECTION,
    WITH_EPSILON,
    WITH_GHOSTS,
    WITH_GROUPS,
    WITH_MOMENTUM,
    WITH_MOMENTUM_ABOVE_0,
    WITH_MOVING,
    WITH_PLACEMENT,
    WITH_SCALE,
    WITH_SIZED_AUGMENTATION,
    WITH_TRAINED_KERNELS,
    same_affines,
    same_coverages,
    same_ghost_batches,
    same_normalizers,
    same_optimizers,
    same_placements,
    same_sites,
    same_trainables,
    same_warmups,
)
from bn_ablate.config.architectures import TYPICAL, ArchitectureName, Layout, Shape, layout_of
from bn_ablate.config.claims import CLAIMS, Claim
from bn_ablate.config.extensions import Extension
from bn_ablate.config.factor import Factor
from bn_ablate.config.kinds import AnyHypothesis
from bn_ablate.config.measures import MEASURES
from bn_ablate.config.metrics import MeasureName, Tables
from bn_ablate.config.names import (
    NAME,
    SIZED,
    ActivationName,
    Affine,
    AugmentationName,
    Coverage,
    DropoutKind,
    DropoutSite,
    InitializerName,
    OptimizerName,
    Placement,
    Precision,
    ResidualNorm,
    ScheduleName,
    Trainable,
)
from bn_ablate.config.normalizers import NormalizerName
from bn_ablate.config.own_measures import OwnMeasure, tables_of
from bn_ablate.config.precision import Bound32, Float32, Rate16, Share32
from bn_ablate.config.quantity import Quantity, quantity
from bn_ablate.config.text import Text

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Positive = Annotated[Float32, Field(gt=0.0)]
NonNegative = Annotated[Float32, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[
    Annotated[int, Field(ge=1, le=100_000), Tag("count")]
    | Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100_000), Tag("list")],
    Discriminator(lambda given: "list" if isinstance(given, list | tuple) else "count"),
]


class Section(BaseModel):
    """Base of every table in a study file: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Data(Section):
    """Where the examples come from and how one seed divides them."""

    name: Name = Field("digits", description="a registered TFDS image-classification data set")
    n_train: Annotated[Count | None, Factor(traced=False, prefix="n")] = Field(
        None, description="training examples; all that are left when absent"
    )
    n_validation: Count | None = Field(None, description="validation examples; a sixth of the pool when absent")
    n_test: Count | None = Field(None, description="test examples; all that are left when absent")
    split: Literal["seeded", "fixed", "official"] = Field(
        "seeded",
        description="seeded: the seed draws train, validation and test, stratified by class; fixed: one such draw "
        "for all seeds; official: the data set's own test split, the seed draws train and validation",
    )
    standardize: Annotated[Literal["channel", "feature", "none"], Factor(traced=False, prefix="std-")] = Field(
        "channel", description="zero mean and unit variance, by statistics of the training examples only"
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


class Model(Section):
    """The network. A block is Dense or Conv -> [BN] -> activation -> [BN] -> [dropout]."""

    architecture: Annotated[ArchitectureName, Factor(traced=False, prefix="")] = Field("mlp", description="the network")
    depth: Annotated[int, Field(ge=1, le=256), Factor(traced=False, prefix="d")] = Field(
        3, description="hidden blocks; for the resnet 3×3 convolutions, an odd number"
    )
    width: Annotated[int, Field(ge=1, le=65536), Factor(traced=False, prefix="w")] = Field(
        128, description="units of a hidden block; for the cnn and the resnet, channels of the first"
    )
    activation: Annotated[ActivationName, Factor(traced=True, prefix="")] = Field(
        "relu", description="the activation of every block"
    )
    kernel_init: Annotated[InitializerName, Factor(traced=False, prefix="")] = Field(
        "lecun_normal", description="the distribution that kernels start from"
    )
    convolution: Literal["auto", "matmul", "native"] = Field(
        "auto",
        description="matmul: with matrix products where XLA's own is slow on CPUs, "
        "and those in the form that suits them; native: XLA's own; "
        "auto: matmul on CPU, else native",
    )

    def layout(self, image: Shape = TYPICAL.image, classes: int = TYPICAL.classes) -> Layout:
        """The network's shapes.

        Raises:
            ValueError: it has no such depth, or does not take such images.
        """
        return layout_of(self.architecture, self.depth, self.width, image, classes)


class Norm(Section):
    """Batch Normalization, or another normalizer in its place."""

    placement: Annotated[Placement, Factor(traced=True, prefix="", alike=same_placements)] = Field(
        "pre", description="none, before (pre) or after (post) the activation"
    )
    residual: Annotated[ResidualNorm, Factor(axis="residual_norm", traced=True, prefix="", acts=ON_RESIDUALS)] = Field(
        "before_add", description="for the resnet: BN before or after a shortcut is added"
    )
    affine: Annotated[Affine, Factor(traced=True, prefix="affine-", acts=WITH_BN, alike=same_affines)] = Field(
        "both", description="which of scale (gamma) and bias (beta) are there"
    )
    coverage: Annotated[Coverage, Factor(traced=True, prefix="cover-", acts=WITH_PLACEMENT, alike=same_coverages)] = (
        Field("all", description="the blocks that have BN, or the network's input alone")
    )
    momentum: Annotated[Share32, Factor(axis="bn_momentum", traced=True, prefix="bnm", acts=WITH_MOVING)] = Field(
        0.9, description="decay of the moving statistics: ra = momentum * ra + (1 - momentum) * batch"
    )
    epsilon: Annotated[Positive, Factor(axis="bn_epsilon", traced=True, prefix="eps", acts=WITH_EPSILON)] = Field(
        1e-5, description="added to the variance"
    )
    scale_init: Annotated[Float32, Factor(traced=True, prefix="gamma", acts=WITH_SCALE)] = Field(
        1.0, description="what every scale (gamma) starts from"
    )
    bias_init: Annotated[Float32, Factor(traced=True, prefix="beta", acts=WITH_BIAS)] = Field(
        0.0, description="what every bias (beta) starts from"
    )
    batch_size: Annotated[
        Count | None,
        Factor(axis="norm_batch_size", traced=False, prefix="bnb", acts=WITH_GHOSTS, alike=same_ghost_batches),
    ] = Field(
        None, description="examples that share their statistics in training (ghost BN); the whole batch when absent"
    )
    kind: Annotated[
        NormalizerName, Factor(axis="norm_kind", traced=True, prefix="", acts=WITH_BN, alike=same_normalizers)
    ] = Field(
        "batch",
        description="the normalizer; BN (batch), or what stands in its place: of each example layer, group, instance "
        "and rms; by the batch's mean alone (mean_only), or its variance (variance_only); by statistics near the "
        "moving ones (batch_renorm); by those of the first training batch (fixed)",
    )
    r_max: Annotated[Bound32, Factor(traced=True, prefix="rmax", acts=WITH_CORRECTION)] = Field(
        3.0,
        description="for norm.kind = batch_renorm: the batch's deviation counts as at most so many times the moving "
        "one, and at least one part of so many",
    )
    d_max: Annotated[NonNegative, Factor(traced=True, prefix="dmax", acts=WITH_CORRECTION)] = Field(
        5.0, description="for norm.kind = batch_renorm: how many moving deviations a mean may lie off, at most"
    )
    groups: Annotated[Count, Factor(axis="norm_groups", traced=False, prefix="g", acts=WITH_GROUPS)] = Field(
        8, description="into how many the channels are divided, for norm.kind = group"
    )


class Dropout(Section):
    """Dropout: how much, where, and of which kind."""

    rate: Annotated[Rate16, Factor(axis="dropout_rate", traced=True, prefix="p")] = Field(
        0.0,
        description="bernoulli: probability of dropping a unit, resolved to 1/65536; uniform: half the noise's width",
    )
    site: Annotated[DropoutSite, Factor(axis="dropout_site", traced=True, prefix="drop-", alike=same_sites)] = Field(
        "block",
        description="after every block (block), after the last (last), just before BN (before_norm), or before every "
        "linear map, with BN on the network's input too (ic)",
    )
    kind: Annotated[DropoutKind, Factor(axis="dropout_kind", traced=True, prefix="", acts=WHERE_UNITS_DROP)] = Field(
        "bernoulli", description="bernoulli: zero or x/(1 - rate); uniform: x(1 + r), r uniform on (-rate, rate)"
    )


class Train(Section):
    """The optimization."""

    steps: Annotated[Count, Factor(traced=False, prefix="t")] = Field(400, description="training steps")
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
    weight_decay: Annotated[NonNegative, Factor(traced=True, prefix="wd", acts=WITH_TRAINED_KERNELS)] = Field(
        0.0, description="on kernels only; coupled (L2) for sgd, adam and rmsprop, decoupled for adamw"
    )
    trainable: Annotated[Trainable, Factor(traced=True, prefix="train-", alike=same_trainables)] = Field(
        "all",
        description="what is trained, the rest keeping its initial values: all; all but BN's scales (gamma), or its "
        "biases (beta); or affine_only, those two and nothing else",
    )
    schedule: Annotated[ScheduleName, Factor(traced=False, prefix="", acts=WHERE_RATE_FALLS)] = Field(
        "constant", description="how the learning rate falls after the warm-up, to 0 at the end of the steps"
    )
    precision: Annotated[Precision, Factor(traced=False, prefix="")] = Field(
        "float32",
        description="of the network's arithmetic; tensorfloat32 is float32 but for products and convolutions, whose "
        "factors may be rounded to TF32 where the device has it; parameters, moving statistics and losses stay float32",
    )
    warmup_steps: Annotated[
        int, Field(ge=0), Factor(traced=False, prefix="warm", acts=WHERE_TRAINED, alike=same_warmups)
    ] = Field(0, description="steps in which the learning rate rises linearly")

    @model_validator(mode="after")
    def _warmup_fits(self) -> Train:
        if self.warmup_steps >= self.steps:
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

    @field_validator("also", mode="after")
    @classmethod
    def _also_in_order(cls, also: tuple[MeasureName, ...]) -> tuple[str, ...]:
        return (*(name for name in MEASURES.own if name in also), *sorted({*also} - {*MEASURES.own}))


class Study(Section):
    """A study: base settings, axes, exclusions, seeds and hypotheses."""

    name: Name
    title: Annotated[Text, StringConstraints(max_length=200)] = ""
    description: Annotated[Text, StringConstraints(max_length=20000)] = ""
    claim: Text = ""
    seeds: Seeds = Field(10, description="how many seeds (0, 1, …) or the list of them")
    extensions: tuple[Extension, ...] = Field((), description="Python files that add to the names below")
    data: Data = Data()
    model: Model = Model()
    norm: Norm = Norm()
    dropout: Dropout = Dropout()
    train: Train = Train()
    measure: Measure = Measure()
    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict, description="factor -> its levels")
    exclude: tuple[dict[str, Any], ...] = Field((), description="combinations of levels to leave out")
    hypotheses: tuple[AnyHypothesis, ...] = ()
    claims: dict[str, Claim] = Field(
        default_factory=dict, description="name -> a claim of the study's own", exclude_if=lambda own: not own
    )

    @field_validator("seeds", mode="after")
    @classmethod
    def _seeds_differ(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(seeds, tuple) and len(set(seeds)) != len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @property
    def known_claims(self) -> dict[str, Claim]:
        """The claims that come with the package, and the study's own."""
        return CLAIMS | self.claims

    @property
    def own_measures(self) -> dict[str, OwnMeasure]:
        """The measures of a user's own that it asks for."""
        declared = {name: of for extension in self.extensions for name, of in extension.measures.items()}
        return {name: declared[name] for name in self.measure.also if name in declared}

    @property
    def tables(self) -> Tables:
        """The columns of the tables of its results, by table and name."""
        return tables_of(self.own_measures)

    def quantity(self, metric: str) -> Quantity:
        """The metric `metric` of its lanes."""
        return self.tables["lanes"].get(metric) or quantity(metric)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, as a tuple."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds
