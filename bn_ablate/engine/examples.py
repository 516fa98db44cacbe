"""Examples as the program sees them: images and labels on the device, of the type that they have; and by seed, how."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped


class SeedExamples(NamedTuple):
    """How one seed sees the examples (with a leading axis: many seeds).

    Attributes:
        mean, std: statistics of its training examples.
        seed: the seed itself.
        labels: those of the whole data set, where some training examples have others than their own.
    """

    mean: Float[Array, "*seeds h w c"]
    std: Float[Array, "*seeds h w c"]
    seed: Int[Array, "*seeds"]
    labels: Int[Array, "*seeds examples"] | None = None


class Examples(NamedTuple):
    """The whole data set, or a block of it."""

    images: Shaped[Array, "examples height width channels"]
    labels: Int[Array, " examples"]

    def take(
        self, indices: Int[Array | np.ndarray, "*some"], seed: SeedExamples
    ) -> tuple[Float[Array, "*some h w c"], Int[Array, "*some"]]:
        """The standardized images, float32, and labels at `indices`."""
        labels = self.labels if seed.labels is None else seed.labels
        images = jnp.take(self.images, indices, axis=0, mode="clip").astype(jnp.float32)
        mean, std = (jnp.broadcast_to(some, images.shape) for some in (seed.mean, seed.std))
        return (images - mean) / std, jnp.take(labels, indices, mode="clip")
