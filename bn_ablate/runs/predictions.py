"""What a network says of examples, and what follows: accuracy by class, confusion matrix, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BINS = 15
"""Of confidence, for the calibration error, as in Guo et al. 2017."""


@dataclass(frozen=True, repr=False)
class Predictions:
    """Predictions of one network for some examples.

    Attributes:
        examples: (examples,), where each is in the data set.
        labels: (examples,).
        probabilities: (examples, classes), the softmax of the logits.
    """

    examples: Int[np.ndarray, " examples"]
    labels: Int[np.ndarray, " examples"]
    probabilities: Float[np.ndarray, "examples classes"]

    def __repr__(self) -> str:
        return f"Predictions({len(self.labels)} examples, accuracy {(self.predicted == self.labels).mean():.2%})"

    @property
    def predicted(self) -> Int[np.ndarray, " examples"]:
        """The class of the largest probability, the first where several are; −1 where the logits are not finite."""
        finite = np.isfinite(self.probabilities).all(1)
        return np.where(finite, np.where(finite[:, None], self.probabilities, 0.0).argmax(1), -1)

    @property
    def confusion(self) -> Int[np.ndarray, "classes classes"]:
        """How many examples of each class (rows) were said to be of each (columns), of those with an answer."""
        n = self.probabilities.shape[1]
        answered = self.predicted >= 0
        pairs = self.labels[answered] * n + self.predicted[answered]
        return np.bincount(pairs, minlength=n * n).reshape(n, n)

    @property
    def class_accuracy(self) -> Float[np.ndarray, " classes"]:
        """The share of each class's examples that was recognized (recall); NaN for a class without examples."""
        counts = np.bincount(self.labels, minlength=self.probabilities.shape[1])
        return np.where(counts > 0, np.diag(self.confusion) / np.maximum(counts, 1), np.nan)

    @property
    def balanced_accuracy(self) -> float:
        """The mean of `class_accuracy` over the classes that have examples."""
        return float(np.nanmean(self.class_accuracy))

    @property
    def calibration_error(self) -> float:
        """Σ share of bin · |accuracy − mean confidence| over bins of equal width (Guo et al. 2017, arXiv 1706.04599).

        Confidence is the largest probability. NaN where a probability is not finite.
        """
        confidence, right = self.probabilities.max(1), self.predicted == self.labels
        if not np.isfinite(confidence).all():
            return float("nan")
        bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        gaps = np.bincount(bins, right - confidence, BINS)
        return float(np.abs(gaps).sum() / len(confidence))
