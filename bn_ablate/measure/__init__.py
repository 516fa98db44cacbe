"""Measurements: pure reductions over activations, gradients and logits, each defined in one docstring."""

from bn_ablate.config.gathered import modules_of
from bn_ablate.measure.affine import measure_affine
from bn_ablate.measure.asked import MEASURES, ON_PROBE, Asked, measured
from bn_ablate.measure.gradients import gradient_norms
from bn_ablate.measure.histograms import HIGH, LOW, histogram
from bn_ablate.measure.landscape import landscape
from bn_ablate.measure.layers import measure_layer, unit_percentiles
from bn_ablate.measure.losses import correct, cross_entropy, smoothed
from bn_ablate.measure.population import (
    Moments,
    Zeros,
    moments,
    units_off,
    variance_shift,
    zeros,
)

__all__ = [
    "HIGH",
    "LOW",
    "MEASURES",
    "ON_PROBE",
    "Asked",
    "Moments",
    "Zeros",
    "correct",
    "cross_entropy",
    "gradient_norms",
    "histogram",
    "landscape",
    "measure_affine",
    "measure_layer",
    "measured",
    "moments",
    "smoothed",
    "unit_percentiles",
    "units_off",
    "variance_shift",
    "zeros",
]

modules_of(__name__, __path__)  # in which formulas of measures on request are registered
