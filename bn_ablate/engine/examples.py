"""The data as the program sees it: one copy on the device, of the type that it has, and index arrays by seed."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped


class SeedExamples(NamedTuple):
    """How one seed divides and standardizes the data (with a leading axis: many seeds).

    Attributes:
        train, validation, test: indices into the whole set.
        mean, std: statistics of the training examples.
        seed: the seed itself.
        labels: those of all examples, where some training examples have others than their own.
    """

    train: Int[Array, "*seeds n_train"]
    validation: Int[Array, "*seeds n_validation"]
    test: Int[Array, "*seeds n_test"]
    mean: Float[Array, "*seeds h w c"]
    std: Float[Array, "*seeds h w c"]
    seed: Int[Array, "*seeds"]
    labels: Int[Array, "*seeds examples"] | None = None


class Examples(NamedTuple):
    """The whole data set."""

    images: Shaped[Array, "examples height width channels"]
    labels: Int[Array, " examples"]

    def take(
        self, indices: Int[Array, "*some"], seed: SeedExamples
    ) -> tuple[Float[Array, "*some h w c"], Int[Array, "*some"]]:
        """The standardized images, float32, and labels at `indices`."""
        labels = self.labels if seed.labels is None else seed.labels
        images = jnp.take(self.images, indices, axis=0, mode="clip").astype(jnp.float32)
        mean, std = (jnp.broadcast_to(some, images.shape) for some in (seed.mean, seed.std))
        return (images - mean) / std, jnp.take(labels, indices, mode="clip")
