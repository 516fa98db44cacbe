"""What is measured of a lane at a step, as columns of `history.parquet`, `layers.parquet` and `histograms.parquet`.

A measure by layer that every lane has takes a declaration here and a formula of the same name in `measure.layers`; one
on request a declaration here and a formula that `measure.asked` registers. `config.own_measures` has a user's own.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from bn_ablate.config.quantity import REQUESTS, Need, Quantity, Unit, declare, request
from bn_ablate.config.registry import Registry

VALUE, SPREAD, RATIO, FACTOR = Unit("value"), Unit("value", low=0.0), Unit("ratio"), Unit("ratio", low=0.0)
FRACTION, ACCURACY = (Unit("fraction", 100.0, "%", digits, 0.0, 1.0) for digits in (1, 2))
POINTS = Unit("fraction", 100.0, "%", 2)
NATS, LOSS, STEPS = Unit("nats", shown="nats"), Unit("nats", shown="nats", low=0.0), Unit("steps", 1.0, "steps", 0, 0.0)
GRADIENT, CURVATURE = Unit("gradient norm", low=0.0), Unit("gradient per parameter", low=0.0)
DECADES = Unit("decades per layer")

START_AND_END, EVERY = "at the start and the end", "at every measurement"
EVALUATIONS = request("evaluations", START_AND_END, "a pass over the training set for each BN, two over all data")
SHIFT = request("variance_shift", START_AND_END, "a pass over the training set")
DEAD = request("dead", START_AND_END, "a pass over the training set for each BN, and one more")
AFFINE = request("affine", EVERY, "next to nothing")
LANDSCAPE = request("landscape", EVERY, "7 loss gradients on a training batch")
PERCENTILES = request("percentiles", EVERY, "sorting one unit of each layer")
MEAN_SHIFT = request("mean_shift", START_AND_END, "a pass over the training set, the same as that of variance_shift")
IN_PARTS = request("recalibrated_apart", START_AND_END, "as evaluations, but for that with batch statistics, twice")
KERNELS = request("kernels", EVERY, "next to nothing")
TRAIN_MODE = request("train_mode", EVERY, "a pass over the training set")
SUCCESSIVE = request("gradient_cosine", EVERY, "2 loss gradients on training batches")
RANKS = request("ranks", EVERY, "for each layer the eigenvalues of a matrix of its units by its units")
MEASURES: Registry[Any] = Registry("measure", "measure.also", *REQUESTS)
"""What `measure.also` may name: ours, and a user's own."""
NORMALIZED = Need(
    "without a normalizer", lambda lane: any(lane.normed_blocks), lambda lane: lane.normed_blocks, present=True
)
MOVING = Need(
    "without a normalizer that has a moving variance, as BN has",
    lambda lane: any(lane.shifting_blocks),
    lambda lane: lane.shifting_blocks,
    present=True,
)
CENTRED = Need(
    "without a normalizer that has a moving mean, as BN has",
    lambda lane: any(lane.centred_blocks),
    lambda lane: lane.centred_blocks,
    present=True,
)
DEPTH = Need("with a single layer", lambda lane: lane.model.depth > 1)
THRESHOLD = Need(
    "without a threshold",
    lambda lane: lane.measure.loss_threshold is not None,
    problem="needs a measure.loss_threshold, the loss to be reached",
)
VALIDATED = Need(
    "where `data.n_validation` is 0",
    lambda lane: lane.data.n_validation != 0,
    problem="needs validation examples, and data.n_validation is 0",
)
AVERAGE = Need(
    "without `train.average`",
    lambda lane: lane.train.average != "none",
    problem="is of averaged weights, which train.average = 'ema' or 'swa' keeps",
)

Z = "the activation's input"
PARTS = ("train", "validation", "test")
SITES = ("dense", "activation_input")
"""Where histograms are taken: what the Dense layer gives (before BN), and what the activation gets."""


LANE = Quantity("lane_id", "the lane", kind="text")
STEP = Quantity("step", "how many training steps it had taken", "step", STEPS, kind="count")
LAYER = Quantity("layer", "the hidden block, counted from 0 at the input", "layer", kind="count")

RIGHT = "share of examples whose largest logit is the label's, in eval mode; where logits are not all finite, 0"
CURVES = tuple(
    curve
    for part, needs in (("train", ()), ("validation", (VALIDATED,)), ("test", ()))
    for curve in (
        Quantity(
            f"{part}_loss",
            "mean cross-entropy in eval mode",
            f"{part} loss",
            LOSS,
            better="lower",
            part=part,
            needs=needs,
        ),
        Quantity(f"{part}_accuracy", RIGHT, f"{part} accuracy", ACCURACY, better="higher", part=part, needs=needs),
    )
)
EVALUATED = tuple(
    replace(
        of,
        name=f"{how}_{of.name}",
        label=f"{words}: {of.label}",
        definition=f"the same with {how.split('_')[0]} statistics",
        needs=(EVALUATIONS, *of.needs),
        ends=True,
    )
    for how, words in (("recalibrated", "recalibrated"), ("batch", "batch statistics"))
    for of in CURVES
)
AVERAGING = "average"
"""Not a request, but that weights are averaged: tables have columns for them only then."""

AVERAGED = tuple(
    replace(
        of,
        name=f"averaged_{of.name}",
        label=f"averaged weights: {of.label}",
        definition="the same with averaged weights, and statistics recalibrated for them",
        needs=(AVERAGE, *of.needs),
        ends=True,
        apart=AVERAGING,
    )
    for of in CURVES
)
_along = partial(Quantity, needs=(LANDSCAPE,))
ALONG = (
    _along(
        "loss_range",
        "maxₖ L(θₖ) − minₖ L(θₖ), where θₖ = θ − ηₖ·g(θ), g = ∇L for all parameters, ηₖ = ½, 1, 1½, 2, 3, 4 times the "
        "lane's peak learning rate; on the first `train.batch_size` training examples with batch statistics and no "
        "dropout (Santurkar et al. 2018, arXiv 1805.11604)",
        "range of the loss along the gradient",
        LOSS,
    ),
    _along(
        "gradient_change",
        "maxₖ ‖g(θₖ) − g(θ)‖₂: how badly the gradient predicts itself",
        "change of the gradient along itself",
        GRADIENT,
    ),
    _along(
        "smoothness",
        "maxₖ ‖g(θₖ) − g(θ)‖₂ / (ηₖ ‖g(θ)‖₂), the effective β-smoothness: small is smooth",
        "effective β-smoothness",
        CURVATURE,
    ),
)

PROBED = (
    Quantity("mean", "mean of z over units and samples", f"mean of {Z}", VALUE),
    Quantity("std", "standard deviation of z over units and samples", f"standard deviation of {Z}", SPREAD),
    Quantity(
        "within_3sigma",
        "share of z within 3 standard deviations of its unit's mean (deviation and mean over the probe)",
        "share within 3σ of the unit's mean",
        FRACTION,
    ),
    Quantity("in_band", "share of |z| ≤ 3 (the 99% rule of a standardized z)", "share of |z| ≤ 3", FRACTION),
    Quantity("steepness", "mean of |f′(z)| / max |f′|", "relative slope", FRACTION),
    Quantity("saturated", "share of z with |f′(z)| < 0.1 · max |f′|", "saturated share", FRACTION),
    Quantity("zero_share", "share of |a| < 10⁻¹²", "share of zeros", FRACTION),
    Quantity(
        "dead",
        "share of units with |a| < 10⁻¹² on every example of the probe: more than are off for good",
        "dead units on the probe",
        FRACTION,
    ),
)
"""Measures of a layer on the probe, whose formulas are in `measure.layers`."""
NORM = Quantity("gradient_norm", "L2 norm of the loss gradient for the layer's kernel", "gradient norm", GRADIENT)
_off = partial(Quantity, unit=FRACTION, needs=(DEAD,), ends=True)
OFF = (
    _off(
        "dead_train",
        "share of units with |a| < 10⁻¹² on every training example (Mehta et al. 2018, arXiv 1811.12495), with "
        "recalibrated statistics: off for good",
        "dead units on the training set",
    ),
    _off(
        "inactive_train",
        "share of |a| < 10⁻¹² over units and training examples, with recalibrated statistics: off for that input, dead "
        "units included",
        "inactive share on the training set",
    ),
)
_shifted = partial(Quantity, needs=(SHIFT, MOVING), ends=True)
SHIFTED = (
    _shifted(
        "variance_shift",
        "geometric mean over units of max(ρ, 1/ρ), where ρ = (real + ε)/(moving + ε), ε that of the BN; real = biased "
        "variance over the training set of what arrives at the BN in eval mode (Li et al. 2018, arXiv 1801.05134). "
        "Geometric, since a unit that hardly varies would make up all of the arithmetic mean",
        "variance shift",
        RATIO._replace(low=1.0),
    ),
    _shifted(
        "variance_ratio",
        "geometric mean over units of ρ: below 1 where less variance arrives than in training, as behind dropout",
        "real-to-moving variance",
        FACTOR,
    ),
)
_affine = partial(Quantity, needs=(AFFINE, NORMALIZED))
OF_AFFINE = (
    *(
        _affine(
            f"{name}_{what}",
            f"of {symbol} over units; {symbol} counts as {neutral} where the lane has none",
            f"{words} of {name}",
            SPREAD if what == "std" else VALUE,
        )
        for name, symbol, neutral in (("gamma", "γ", 1), ("beta", "β", 0))
        for what, words in (("mean", "mean"), ("std", "standard deviation"), ("min", "least"), ("max", "greatest"))
    ),
    _affine("beta_negative", "share of units with β < 0", "share of negative beta", FRACTION),
    _affine(
        "beta_over_gamma",
        "median of β / |γ| over units with |γ| > 10⁻³, NaN without such. Of normal x̂, BN → ReLU switches off the share "
        "Φ(−β/|γ|), whatever the sign of γ",
        "median of beta / |gamma|",
        RATIO,
    ),
)
UNIT = tuple(
    Quantity(
        f"unit_p{percent}",
        "percentiles of z of the layer's first unit (Ioffe & Szegedy 2015, arXiv 1502.03167, figure 1); the mean over "
        "units would stand still",
        f"percentile {percent} of the first unit",
        VALUE,
        needs=(PERCENTILES,),
    )
    for percent in (15, 50, 85)
)
declare(
    "history",
    LANE,
    STEP,
    Quantity(
        "batch_loss",
        "mean loss of the training batches since the last measurement, dropout and batch statistics on; NaN at step 0",
        "batch loss",
        LOSS,
        better="lower",
    ),
    *CURVES,
    *EVALUATED,
    *AVERAGED,
    *ALONG,
)
declare("layers", LANE, STEP, LAYER, *PROBED, NORM, *OFF, *SHIFTED, *OF_AFFINE, *UNIT)
declare(
    "histograms",
    LANE,
    STEP,
    LAYER,
    Quantity("site", "`dense`: what the linear map gives; `activation_input`: z", kind="text"),
    Quantity("low", "the lower end of the range, −10", unit=VALUE),
    Quantity("high", "the upper end of the range, 10", unit=VALUE),
    Quantity(
        "counts",
        "values below `low`, in 100 equal bins, and from `high` on, on the probe; NaN is not counted",
        kind="counts",
    ),
)
