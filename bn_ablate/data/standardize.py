"""Mean and standard deviation of the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32

from bn_ablate.config.training_keys import Data
from bn_ablate.data.dataset import Dataset
from bn_ablate.data.mapped import taken
from bn_ablate.data.splits import Split

_CHUNK, _VALUES = 4096, 2**25  # images, and values of images, that are converted at once, to bound the memory


def moments(
    dataset: Dataset, settings: Data, split: Split
) -> tuple[Float32[np.ndarray, "#height #width channels"], Float32[np.ndarray, "#height #width channels"]]:
    """Mean and standard deviation that standardize an image, `(image - mean) / std`, from the training examples alone.

    `settings.standardize` = `channel`: one pair a channel, `(1, 1, channels)`. `feature`: one pair a pixel and channel,
    `(height, width, channels)`. `none`: 0 and 1, `(1, 1, channels)`: the raw values 0 to 255. `unit`: 0 and 255, which
    makes these 0 to 1; for float32 data, which it leaves as they are, 0 and 1. The variance is biased (divided by n). A
    standard deviation of 0 is given as 1, so that what is constant becomes 0. Sums of uint8 images are of integers and
    exact; those of float32 data are of float64, the variance around the mean. The result is float32.
    """
    exact = dataset.images.dtype == np.uint8
    if settings.standardize in ("unit", "none"):
        shape = (1, 1, dataset.images.shape[-1])
        highest = 255.0 if exact and settings.standardize == "unit" else 1.0
        return np.zeros(shape, np.float32), np.full(shape, highest, np.float32)
    axes = (0, 1) if settings.standardize == "channel" else ()
    size = max(1, min(_CHUNK, _VALUES // dataset.images[0].size))

    def averages(*of: Callable[[np.ndarray], np.ndarray]) -> Iterator[np.ndarray]:
        """The mean of each `of(images)` over the training examples and, for `channel`, over their places."""
        kind = np.int64 if exact else np.float64
        totals = [np.zeros((), kind)] * len(of)
        for begin in range(0, split.train.size, size):
            images = taken(dataset.images, split.train[begin : begin + size]).astype(kind)
            totals = [total + each(images).sum(axis=0) for total, each in zip(totals, of, strict=True)]
        for total in totals:
            summed = total.sum(axis=axes, keepdims=True)
            yield np.asarray(summed / (split.train.size * dataset.images[0].size / summed.size))

    if exact:
        mean, squares = averages(lambda images: images, np.square)
        variance = squares - np.square(mean)
    else:
        (mean,) = averages(lambda images: images)
        (variance,) = averages(lambda images: np.square(images - mean))
    std = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    return mean.astype(np.float32), std.astype(np.float32)
