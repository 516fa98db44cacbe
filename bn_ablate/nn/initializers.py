"""Initializers of kernels, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from flax.linen import initializers

from bn_ablate.config import names as known
from bn_ablate.config.registry import Registry

Maker: TypeAlias = Callable[[], Any]

INITIALIZERS: Registry[Maker] = known.INITIALIZERS
"""By name.

He et al. 2015 for ReLU, Glorot & Bengio 2010 for tanh, LeCun et al. 1998; `orthogonal` after Saxe et al. 2014.
"""


def initializer(name: str) -> Callable[[Maker], Maker]:
    """Register the decorated function as the initializer `name`, which `model.kernel_init` may then say.

    It takes nothing, and gives an initializer as those of Flax: `(key, shape, dtype) -> array`, with the inputs of a
    kernel before its outputs: (inputs, units), or (height, width, channels, channels).

    Raises:
        ValueError: the name is taken.
    """
    return lambda make: INITIALIZERS.add(name, make)


initializer("lecun_normal")(initializers.lecun_normal)
initializer("lecun_uniform")(initializers.lecun_uniform)
initializer("glorot_normal")(initializers.glorot_normal)
initializer("glorot_uniform")(initializers.glorot_uniform)
initializer("he_normal")(initializers.he_normal)
initializer("he_uniform")(initializers.he_uniform)
initializer("orthogonal")(initializers.orthogonal)
