"""The keys of a study that settle the network: `model`, `norm` and `dropout`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bn_ablate.config.acting import (
    ON_RESIDUAL_SCALES,
    ON_RESIDUALS,
    WHERE_UNITS_DROP,
    WITH_ALPHA,
    WITH_AVERAGE_OF_BN,
    WITH_BIAS,
    WITH_BN,
    WITH_CORRECTION,
    WITH_EPSILON,
    WITH_GHOSTS,
    WITH_GRADIENT,
    WITH_GROUPS,
    WITH_MOMENTUM_OF_BN,
    WITH_MOVING,
    WITH_MOVING_VARIANCE,
    WITH_PLACEMENT,
    WITH_SCALE,
    WITH_STATISTICS,
    same_affines,
    same_coverages,
    same_ends,
    same_freezes,
    same_ghost_batches,
    same_gradients,
    same_momentum_ends,
    same_normalizers,
    same_placements,
    same_residual_scales,
    same_scales,
    same_sites,
)
from bn_ablate.config.architectures import TYPICAL, ArchitectureName, Layout, Shape, layout_of
from bn_ablate.config.factor import Factor
from bn_ablate.config.names import (
    ActivationName,
    Affine,
    Coverage,
    DropoutKind,
    DropoutSite,
    EpsilonOn,
    InitializerName,
    MovingAverage,
    MovingVariance,
    NormGradient,
    NormStatistics,
    Placement,
    ResidualNorm,
)
from bn_ablate.config.normalizers import NormalizerName
from bn_ablate.config.precision import Bound32, Float32, Rate16, Share32
from bn_ablate.config.section import Count, NonNegative, Positive, Section, Whole


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
        "lecun_normal",
        description="the distribution that kernels start from; lsuv: orthogonal ones, scaled layer by layer so that "
        "what each gives of the first training batch has variance 1",
    )
    weight_standardization: Annotated[bool, Factor(traced=True, prefix="ws-")] = Field(
        False,
        description="use kernels of blocks less their mean and divided by their deviation, for each output, as kernels "
        "of length 1",
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
    momentum: Annotated[Share32, Factor(axis="bn_momentum", traced=True, prefix="bnm", acts=WITH_MOMENTUM_OF_BN)] = (
        Field(0.9, description="decay of the moving statistics: ra = momentum * ra + (1 - momentum) * batch")
    )
    momentum_end: Annotated[
        Share32 | None,
        Factor(
            axis="bn_momentum_end", traced=True, prefix="bnm-to", acts=WITH_MOMENTUM_OF_BN, alike=same_momentum_ends
        ),
    ] = Field(
        None,
        description="the momentum of the last step in which the moving statistics move, to which it goes in equal "
        "steps from that of the first; it stays as it is when absent",
    )
    epsilon: Annotated[Positive, Factor(axis="bn_epsilon", traced=True, prefix="eps", acts=WITH_EPSILON)] = Field(
        1e-5, description="added to the variance"
    )
    scale_init: Annotated[Float32, Factor(traced=True, prefix="gamma", acts=WITH_SCALE, alike=same_scales)] = Field(
        1.0, description="what every scale (gamma) starts from"
    )
    residual_scale_init: Annotated[
        Float32 | None, Factor(traced=True, prefix="endgamma", acts=ON_RESIDUAL_SCALES, alike=same_residual_scales)
    ] = Field(
        None,
        description="what the scales (gamma) of BN at the ends of residuals start from; from 0, a residual is the "
        "identity at first; scale_init when absent",
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
        "moving ones (batch_renorm); by those of the first training batch (fixed); or without statistics, by a tanh "
        "(dyt)",
    )
    alpha_init: Annotated[Float32, Factor(traced=True, prefix="alpha", acts=WITH_ALPHA)] = Field(
        0.5, description="for norm.kind = dyt: what α of tanh(α x) starts from"
    )
    r_max: Annotated[Bound32, Factor(traced=True, prefix="rmax", acts=WITH_CORRECTION)] = Field(
        3.0,
        description="for norm.kind = batch_renorm: the batch's deviation counts as at most so many times the moving "
        "one, and at least one part of so many",
    )
    d_max: Annotated[NonNegative, Factor(traced=True, prefix="dmax", acts=WITH_CORRECTION)] = Field(
        5.0, description="for norm.kind = batch_renorm: how many moving deviations a mean may lie off, at most"
    )
    gradient: Annotated[
        NormGradient,
        Factor(axis="norm_gradient", traced=True, prefix="grad-", acts=WITH_GRADIENT, alike=same_gradients),
    ] = Field(
        "full",
        description="of the statistics in training: full passes the gradient through them; no_mean, no_variance and "
        "straight take the mean, the variance, or both for constants there; what the network gives is the same",
    )
    statistics: Annotated[
        NormStatistics,
        Factor(axis="norm_statistics", traced=True, prefix="stats-", acts=WITH_STATISTICS),
    ] = Field(
        "own",
        description="by which training normalizes: those of the batch (own); those that the same network has on the "
        "next batch (other_batch); or the moving ones (moving). No gradient passes through the latter two",
    )
    since: Annotated[Whole, Factor(axis="norm_since", traced=True, prefix="since", acts=WITH_BN)] = Field(
        0,
        description="the step from which on there is BN; it is put in as the identity of what a training batch "
        "gives, so that the network computes what it did; 0: from the start",
    )
    until: Annotated[Whole, Factor(axis="norm_until", traced=True, prefix="until", acts=WITH_BN, alike=same_ends)] = (
        Field(
            0,
            description="the step from which on there is no BN any more; its map in evaluation goes into the weights, "
            "so that the network computes what it did; 0: never",
        )
    )
    noise: Annotated[Whole, Factor(axis="norm_noise", traced=True, prefix="noise", acts=WITH_BN)] = Field(
        0,
        description="put Gaussian noise on the mean and the scale of what a normalizer gives in training, as strong as "
        "that of ghost batches of so many values; 0 for none",
    )
    noise_after: Annotated[
        NonNegative, Factor(axis="norm_noise_after", traced=True, prefix="noise-after", acts=WITH_BN)
    ] = Field(
        0.0,
        description="put noise of another mean and variance in every step behind the normalizer in training, so many "
        "times as strong as Santurkar et al. 2018 have it; 0 for none",
    )
    moving_variance: Annotated[MovingVariance, Factor(traced=True, prefix="moving-", acts=WITH_MOVING_VARIANCE)] = (
        Field("biased", description="what the moving variance follows: the batch's, or n/(n - 1) times that (unbiased)")
    )
    moving_average: Annotated[MovingAverage, Factor(traced=True, prefix="", acts=WITH_AVERAGE_OF_BN)] = Field(
        "exponential",
        description="of the statistics: exponential, by momentum; or the mean over all batches so far (cumulative)",
    )
    frozen_from: Annotated[Whole, Factor(traced=True, prefix="frozen", acts=WITH_MOVING, alike=same_freezes)] = Field(
        0,
        description="the step from which on training normalizes by the moving statistics, which stand still; 0: never",
    )
    epsilon_on: Annotated[EpsilonOn, Factor(traced=True, prefix="eps-on-", acts=WITH_EPSILON)] = Field(
        "variance", description="what epsilon is added to: the variance, or its root (deviation)"
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
