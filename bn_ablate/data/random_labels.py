"""Labels that say nothing: for studies of what networks learn by heart (Zhang et al. 2017, arXiv 1611.03530)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32

from bn_ablate.config.training_keys import Data
from bn_ablate.data.dataset import Dataset
from bn_ablate.data.permutation import random_words
from bn_ablate.data.splits import Split


def with_random_labels(dataset: Dataset, settings: Data, split: Split, seed: int) -> Int32[np.ndarray, " examples"]:
    """The labels of the whole data set, of which those of a share of the training examples are drawn from the seed.

    A share of n training examples are `round(share · n)` of them. What is drawn for an example depends on the seed
    and its place in the data set alone: the examples of a smaller share are among those of a larger one, with the same
    labels. A drawn label is any class, its own too.
    """
    n = len(dataset.labels)
    order = np.argsort(random_words(n, "which labels", seed)[split.train], kind="stable")
    chosen = split.train[order[: round(settings.random_labels * split.train.size)]]
    labels = np.array(dataset.labels)
    labels[chosen] = (random_words(n, "random labels", seed) % np.uint64(dataset.n_classes))[chosen]
    return labels
