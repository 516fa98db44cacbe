"""Measures on request of which tables have columns only where they are asked for; of others they are null elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from bn_ablate.config.measures import (
    CENTRED,
    CURVES,
    FACTOR,
    IN_PARTS,
    KERNELS,
    MEAN_SHIFT,
    RANKS,
    RATIO,
    SPREAD,
    SUCCESSIVE,
    TRAIN_MODE,
)
from bn_ablate.config.quantity import Quantity, declare

_apart = partial(Quantity, needs=(MEAN_SHIFT, CENTRED), ends=True, apart="mean_shift")
CENTRE = _apart(
    "mean_shift",
    "root mean square over units of (real mean − moving mean) / √(moving variance + ε), the real mean over the "
    "training set of what arrives at the BN in eval mode: how many moving deviations evaluation is off by",
    "mean shift",
    FACTOR,
)
BY_PARTS = tuple(
    replace(
        of,
        name=f"{part}_recalibrated_{of.name}",
        label=f"{part} recalibrated: {of.label}",
        definition=f"the same with recalibrated {part}s, and the moving {other}s as they are",
        needs=(IN_PARTS, *of.needs),
        ends=True,
        apart="recalibrated_apart",
    )
    for part, other in (("mean", "variance"), ("variance", "mean"))
    for of in CURVES
    if of.name.endswith("loss")
)
_kernel = partial(Quantity, needs=(KERNELS,), apart="kernels")
OF_KERNELS = (
    _kernel("kernel_norm", "L2 norm of the layer's kernel W", "kernel norm", SPREAD),
    _kernel(
        "effective_rate",
        "η / ‖W‖₂², η the learning rate of the step: how far a step turns a kernel whose length a normalizer "
        "takes away (van Laarhoven 2017, arXiv 1706.05350)",
        "effective learning rate",
        FACTOR,
    ),
)
IN_TRAINING = tuple(
    replace(
        of,
        name=f"train_mode_{what}",
        label=f"train mode: {of.label}",
        definition="the same on the training examples with batch statistics and no dropout",
        part="",
        needs=(TRAIN_MODE,),
        apart="train_mode",
    )
    for what, of in zip(("loss", "accuracy"), CURVES, strict=False)
)
COSINE = Quantity(
    "gradient_cosine",
    "cosine of the angle between ∇L(θ; B) and ∇L(θ − η∇L(θ; B); B′), for all parameters θ, with B and B′ the first and "
    "the second `train.batch_size` training examples, batch statistics and no dropout, η the learning rate of the step",
    "cosine of successive gradients",
    RATIO._replace(low=-1.0, high=1.0),
    needs=(SUCCESSIVE,),
    apart="gradient_cosine",
)
_rank = partial(Quantity, needs=(RANKS,), apart="ranks")
OF_RANKS = (
    _rank(
        "stable_rank",
        "‖A‖_F² / ‖A‖₂², A the matrix of a, its rows the examples of the probe (and their places), its columns the "
        "units: 1 where all rows are multiples of one",
        "stable rank of activations",
        FACTOR,
    ),
    _rank(
        "example_cosine",
        "mean cosine of the angle between a of two different examples of the probe (Daneshmand et al. 2021, arXiv "
        "2106.03970); an example that is 0 throughout has a cosine of 0",
        "cosine between examples",
        RATIO._replace(low=-1.0, high=1.0),
    ),
)

declare("history", *BY_PARTS, *IN_TRAINING, COSINE)
declare("layers", CENTRE, *OF_KERNELS, *OF_RANKS)
