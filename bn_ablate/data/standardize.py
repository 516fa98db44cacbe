"""Mean and standard deviation of the training images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from bn_ablate.config.schema import Data
from bn_ablate.data.dataset import Dataset
from bn_ablate.data.splits import Split

_CHUNK = 4096  # images converted at once, to bound the memory


def moments(
    dataset: Dataset, settings: Data, split: Split
) -> tuple[Float32[np.ndarray, "#height #width channels"], Float32[np.ndarray, "#height #width channels"]]:
    """Mean and standard deviation that standardize an image, `(image - mean) / std`, from the training examples alone.

    `settings.standardize` = `channel`: one pair a channel, `(1, 1, channels)`. `feature`: one pair a pixel and channel,
    `(height, width, channels)`. `none`: 0 and 1, `(1, 1, channels)`: the raw values 0 to 255. The variance is
    biased (divided by n). A standard deviation of 0 is given as 1, so that what is constant becomes 0. Sums are of
    integers and exact, the rest is float64, and the result float32.
    """
    if settings.standardize == "none":
        shape = (1, 1, dataset.images.shape[-1])
        return np.zeros(shape, np.float32), np.ones(shape, np.float32)
    total = np.zeros(dataset.images.shape[1:], np.int64)
    total_of_squares = np.zeros_like(total)
    for begin in range(0, split.train.size, _CHUNK):
        chunk = dataset.images[split.train[begin : begin + _CHUNK]].astype(np.int64)
        total += chunk.sum(axis=0)
        total_of_squares += np.square(chunk).sum(axis=0)
    n = split.train.size
    if settings.standardize == "channel":
        n *= dataset.images[0, ..., 0].size
        total, total_of_squares = (x.sum(axis=(0, 1), keepdims=True) for x in (total, total_of_squares))
    mean = total / n
    variance = total_of_squares / n - np.square(mean)
    std = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    return mean.astype(np.float32), std.astype(np.float32)
