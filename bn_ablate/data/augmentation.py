"""Augmentations of training images, by name: `data.augment`.

They see images as the network does: standardized, so that the 0 that stands for what is not there is the mean of the
training set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from bn_ablate.config import names as known
from bn_ablate.config.extensions import ExtensionError
from bn_ablate.config.registry import Registry

Images: TypeAlias = Float[Array, "batch height width channels"]
Function = TypeVar("Function", bound=Callable[..., Any])

AUGMENTATIONS: Registry[Callable[..., Images]] = known.AUGMENTATIONS
"""By name."""


def augmentation(name: str) -> Callable[[Function], Function]:
    """Register the decorated function as the augmentation `name`, which `data.augment` may then say.

    It takes the standardized images of a training batch, `(batch, height, width, channels)`, and a key of JAX, and
    gives images of that shape. The key is that of the seed and the step: all cells of a seed see the same images. Those
    of `config.names.SIZED` take the size in pixels too.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> import jax
        >>> @bn.augmentation("noise")
        ... def noise(images, key):
        ...     return images + 0.1 * jax.random.normal(key, images.shape)
        >>> bn.build_study(name="mine", axes={"augment": ["none", "noise"]}).axes["augment"]
        ('none', 'noise')
    """

    def register(function: Function) -> Function:
        AUGMENTATIONS.add(name, function)
        return function

    return register


def augment(name: str, size: int, images: Images, key: Array) -> Images:
    """The images as the augmentation `name` makes them of `key`; `size` is in pixels.

    Raises:
        ExtensionError: a user's own gives images of another shape.
    """
    given = (images, key, size) if name in known.SIZED else (images, key)
    found = AUGMENTATIONS[name](*given)
    if jnp.shape(found) != images.shape:
        raise ExtensionError(
            f"the augmentation {name!r} makes images of shape {jnp.shape(found)} of those of shape {images.shape}: "
            "it should keep it"
        )
    return jnp.asarray(found, images.dtype)


@augmentation("none")
def _none(images: Images, key: Array) -> Images:
    return images


@augmentation("flip")
def flip(images: Images, key: Array) -> Images:
    """Each image mirrored left to right with probability ½."""
    mirrored = jax.random.bernoulli(key, 0.5, images.shape[:1])
    return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


@augmentation("crop")
def crop(images: Images, key: Array, size: int) -> Images:
    """Each image padded with `size` zeros on every side, and cut out again at a place drawn evenly (He et al. 2016)."""
    return _windows(jnp.pad(images, ((0, 0), (size, size), (size, size), (0, 0))), _offsets(key, images, size), images)


@augmentation("crop_flip")
def crop_flip(images: Images, key: Array, size: int) -> Images:
    """`crop`, then `flip`, each by a key of its own."""
    cropping, flipping = jax.random.split(key)
    return flip(crop(images, cropping, size), flipping)


@augmentation("shift")
def shift(images: Images, key: Array, size: int) -> Images:
    """`crop`, with the image mirrored at its edges in the place of zeros."""
    padded = jnp.pad(images, ((0, 0), (size, size), (size, size), (0, 0)), mode="reflect")
    return _windows(padded, _offsets(key, images, size), images)


@augmentation("cutout")
def cutout(images: Images, key: Array, size: int) -> Images:
    """Zeros in a square of `size` pixels around a pixel drawn evenly, as far as it is in (DeVries & Taylor 2017)."""
    n, height, width, _ = images.shape
    centres = jax.random.randint(key, (n, 2), 0, jnp.asarray([[height, width]]))
    begin = centres - size // 2
    inside = [
        (jnp.arange(length)[None] >= begin[:, i, None]) & (jnp.arange(length)[None] < begin[:, i, None] + size)
        for i, length in enumerate((height, width))
    ]
    return jnp.where((inside[0][:, :, None] & inside[1][:, None, :])[..., None], 0.0, images)


def _offsets(key: Array, images: Images, size: int) -> Int[Array, "batch 2"]:
    """Rows and columns to begin at, from 0 to 2 · `size`."""
    return jax.random.randint(key, (len(images), 2), 0, 2 * size + 1)


def _windows(padded: Images, offsets: Int[Array, "batch 2"], images: Images) -> Images:
    """Of each image in `padded` what begins at its offset and is as large as those in `images`."""
    shape = images.shape[1:]
    return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], 0), shape))(padded, offsets)
