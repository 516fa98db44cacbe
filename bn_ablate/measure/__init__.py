"""Measurements: pure reductions over activations, gradients and logits, each defined in one docstring."""

from bn_ablate.measure.gradients import gradient_norms
from bn_ablate.measure.histograms import HIGH, LOW, histogram
from bn_ablate.measure.layers import LayerMeasures, measure_layer
from bn_ablate.measure.losses import correct, cross_entropy

__all__ = ["HIGH", "LOW", "LayerMeasures", "correct", "cross_entropy", "gradient_norms", "histogram", "measure_layer"]
