"""Initializers of kernels, by name; and those that look at what a layer gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
from flax.linen import initializers
from jax import Array

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

    Examples:
        >>> import jax
        >>> @bn.initializer("small")
        ... def small():
        ...     return jax.nn.initializers.normal(0.01)
        >>> bn.build_study(name="mine", model={"kernel_init": "small"}).model.kernel_init
        'small'
    """
    return lambda make: INITIALIZERS.add(name, make)


initializer("lecun_normal")(initializers.lecun_normal)
initializer("lecun_uniform")(initializers.lecun_uniform)
initializer("glorot_normal")(initializers.glorot_normal)
initializer("glorot_uniform")(initializers.glorot_uniform)
initializer("he_normal")(initializers.he_normal)
initializer("he_uniform")(initializers.he_uniform)
initializer("orthogonal")(initializers.orthogonal)


class Fitted(NamedTuple):
    """What `draw` draws, to be scaled by `fitted` once it is known what the layer gives."""

    draw: Any

    def __call__(self, *given: Any) -> Array:
        """The kernel as it is drawn."""
        kernel: Array = self.draw(*given)
        return kernel


@initializer("lsuv")
def _lsuv() -> Fitted:
    """Layer-sequential unit variance (Mishkin & Matas 2016, arXiv 1511.06422)."""
    return Fitted(initializers.orthogonal())


def fitted(initialize: Any, gives: Callable[[Array], Array]) -> Any:
    """The initializer; a `Fitted` one divides its kernel by the deviation of all values of `gives(kernel)`.

    A layer is linear in its kernel, so that what it gives then has variance 1. Where that is constant, nothing is done.
    """
    if not isinstance(initialize, Fitted):
        return initialize

    def scaled(*given: Any) -> Array:
        kernel = initialize(*given)
        var = jnp.var(gives(kernel).astype(jnp.float32))
        return kernel / jnp.sqrt(jnp.where(var > 0, var, 1.0))

    return scaled
