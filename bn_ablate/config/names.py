"""The names that a study may use: closed sets of words, and registries that users may add to.

This module is the one place that knows which words of ours exist. `nn` and `engine` map each name to what it does, and
a test holds the two together.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator

from bn_ablate.config.errors import one_of
from bn_ablate.config.registry import Registry

Placement = Literal["none", "pre", "post"]
PLACEMENTS: tuple[str, ...] = get_args(Placement)
ResidualNorm = Literal["before_add", "after_add"]
RESIDUAL_NORMS: tuple[str, ...] = get_args(ResidualNorm)
Affine = Literal["none", "scale", "bias", "both"]
AFFINES: tuple[str, ...] = get_args(Affine)
ACTIVATIONS: Registry[Any] = Registry(
    "activation",
    "model.activation",
    *("identity", "sigmoid", "tanh", "hard_tanh", "softsign", "relu", "leaky_relu"),
    *("elu", "selu", "gelu", "silu", "softplus"),
)
INITIALIZERS: Registry[Any] = Registry(
    "initializer",
    "model.kernel_init",
    *("lecun_normal", "lecun_uniform", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "orthogonal"),
    "lsuv",
)
OPTIMIZERS: Registry[Any] = Registry("optimizer", "train.optimizer", "sgd", "adam", "adamw", "rmsprop")
AUGMENTATIONS: Registry[Any] = Registry(
    "augmentation", "data.augment", "none", "flip", "crop", "crop_flip", "shift", "cutout"
)
SIZED = {"crop": 1 / 8, "crop_flip": 1 / 8, "shift": 1 / 8, "cutout": 1 / 2}
"""The augmentations that have a size in pixels, and which share of an image's height it is where a study gives none."""
ActivationName = Annotated[str, ACTIVATIONS.named]
AugmentationName = Annotated[str, AUGMENTATIONS.named]
InitializerName = Annotated[str, INITIALIZERS.named]
OptimizerName = Annotated[str, OPTIMIZERS.named]
Precision = Literal["float32", "tensorfloat32", "bfloat16"]
ScheduleName = Literal["constant", "step", "cosine", "linear", "one_cycle"]
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)
AverageName = Literal["none", "ema", "swa"]
DecayOn = Literal["kernels", "all", "all_but_norm"]
DECAYS_ON: tuple[str, ...] = get_args(DecayOn)
DropoutSite = Literal["block", "last", "before_norm", "ic"]
DROPOUT_SITES: tuple[str, ...] = get_args(DropoutSite)
DropoutKind = Literal["bernoulli", "uniform"]
DROPOUT_KINDS: tuple[str, ...] = get_args(DropoutKind)
NormGradient = Literal["full", "no_mean", "no_variance", "straight"]
NORM_GRADIENTS: tuple[str, ...] = get_args(NormGradient)
NormStatistics = Literal["own", "other_batch", "moving"]
NORM_STATISTICS: tuple[str, ...] = get_args(NormStatistics)
MovingVariance = Literal["biased", "unbiased"]
MovingAverage = Literal["exponential", "cumulative"]
EpsilonOn = Literal["variance", "deviation"]
Trainable = Literal["all", "all_but_scale", "all_but_bias", "affine_only"]
TRAINABLES: tuple[str, ...] = get_args(Trainable)
Moment = Literal["final", "best", "averaged"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
Kept = Literal[Moment, "measured"]

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What a study or a hypothesis may be called: files get these names."""

COVERAGES = ("all", "none", "first", "last", "every_other", "input")
_COVERAGE_BY_BLOCK = re.compile(r"^(only|without)_(\d{1,3})$")


@lru_cache(4096)
def coverage_mask(coverage: str, depth: int) -> tuple[bool, ...]:
    """Which of `depth` blocks have BN: all, none, first, last, every_other (0, 2, …), only_K, without_K (K from 0).

    With `input` no block has: BN stands before the first linear map only. `all` means all blocks, and not the input.

    Raises:
        ValueError: K is not a block of this depth.
    """
    if match := _COVERAGE_BY_BLOCK.match(coverage):
        kind, block = match[1], int(match[2])
        if block >= depth:
            raise ValueError(
                f"coverage = {coverage!r} names block {block}, but depth = {depth} has blocks 0 to {depth - 1}"
            )
        return tuple((i == block) == (kind == "only") for i in range(depth))
    covered = {
        "all": range(depth),
        "none": range(0),
        "first": range(1),
        "last": range(depth - 1, depth),
        "every_other": range(0, depth, 2),
        "input": range(0),
    }[coverage]
    return tuple(i in covered for i in range(depth))


def _known_coverage(value: str) -> str:
    if value not in COVERAGES and not _COVERAGE_BY_BLOCK.match(value):
        raise ValueError(one_of(value, (*COVERAGES, "only_K", "without_K")))
    return value


Coverage = Annotated[str, AfterValidator(_known_coverage)]
