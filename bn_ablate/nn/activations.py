"""Activations with their derivatives, behind one seam: `activate`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erfc
from jaxtyping import Float, Int

from bn_ablate.config import names as known
from bn_ablate.config.registry import Registry
from bn_ablate.nn.choose import choose

Elementwise = TypeVar("Elementwise", bound=Callable[..., Array])

_SELU_SCALE = 1.0507009873554805
_SELU_ALPHA = 1.6732632423543772
_LEAK = 0.01
_SMALLEST = 1.1754944e-38
"""Below this float32 is subnormal, which XLA takes for 0 on CPU."""


class Activation(NamedTuple):
    """An elementwise function, its derivative, and the greatest slope that the derivative reaches (None: to be found).

    `derivative(z, y)` gets the input `z` and the value `y = function(z)`, so that what was computed once is not again.
    Both keep their relative precision in the tails: nothing small is the difference of what is not, as 1 − y² would be
    for tanh, and 1 + erf for gelu.
    """

    function: Callable[[Array], Array]
    derivative: Callable[[Array, Array], Array]
    max_slope: float | None


def _sigmoid_slope(z: Array, y: Array) -> Array:
    e = jnp.exp(-jnp.abs(z))
    return e / jnp.square(1.0 + e)


def _tanh_slope(z: Array, y: Array) -> Array:
    e = jnp.exp(-2.0 * jnp.abs(z))
    return 4.0 * e / jnp.square(1.0 + e)


def _gelu(z: Array) -> Array:
    return z * (0.5 * erfc(z * -0.7071067811865476))


def _gelu_slope(z: Array, y: Array) -> Array:
    cdf = jnp.where(jnp.abs(z) > _SMALLEST, y / z, 0.5)
    return cdf + z * jnp.exp(-0.5 * z * z) * 0.3989422804014327


def _silu_slope(z: Array, y: Array) -> Array:
    return jax.nn.sigmoid(z) + y * jax.nn.sigmoid(-z)


def _expm1_below(z: Array) -> Array:
    return jnp.expm1(jnp.minimum(z, 0.0))


def _exp_below(z: Array) -> Array:
    return jnp.exp(jnp.minimum(z, 0.0))


ACTIVATIONS: Registry[Activation] = known.ACTIVATIONS
"""By name; `gelu` is the exact z·Φ(z), not its tanh approximation, and `leaky_relu` has slope 0.01 below zero."""


def activation(
    name: str, *, derivative: Callable[[Array, Array], Array] | None = None, max_slope: float | None = None
) -> Callable[[Elementwise], Elementwise]:
    """Register the decorated function as the activation `name`, which `model.activation` may then say.

    It maps an array to one of its shape, elementwise, in terms of `jax.numpy`.

    Args:
        name: how studies call it.
        derivative: f'(z), elementwise, from z and f(z); JAX's own where it is not given.
        max_slope: the greatest |f'|, against which units count as saturated; the greatest for |z| ≤ 20 where it is not
            given.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> import jax
        >>> @bn.activation("swish2", max_slope=1.2)
        ... def swish2(z):
        ...     return z * jax.nn.sigmoid(2 * z)
        >>> bn.build_study(name="mine", axes={"activation": ["relu", "swish2"]}).axes["activation"]
        ('relu', 'swish2')
    """

    def register(function: Elementwise) -> Elementwise:
        slope_at = jax.vmap(jax.grad(function))

        def slopes(z: Array, y: Array) -> Array:
            at: Array = slope_at(z.reshape(-1)).reshape(z.shape)
            return at

        ACTIVATIONS.add(name, Activation(function, derivative or slopes, max_slope), source=function)
        return function

    return register


activation("identity", derivative=lambda z, y: jnp.ones_like(z), max_slope=1.0)(lambda z: z)
activation("sigmoid", derivative=_sigmoid_slope, max_slope=0.25)(jax.nn.sigmoid)
activation("tanh", derivative=_tanh_slope, max_slope=1.0)(jnp.tanh)
activation("hard_tanh", derivative=lambda z, y: jnp.where(jnp.abs(z) < 1.0, 1.0, 0.0), max_slope=1.0)(
    lambda z: jnp.clip(z, -1.0, 1.0)
)
activation("softsign", derivative=lambda z, y: 1.0 / jnp.square(1.0 + jnp.abs(z)), max_slope=1.0)(
    lambda z: z / (1.0 + jnp.abs(z))
)
activation("relu", derivative=lambda z, y: jnp.where(z > 0.0, 1.0, 0.0), max_slope=1.0)(lambda z: jnp.maximum(z, 0.0))
activation("leaky_relu", derivative=lambda z, y: jnp.where(z > 0.0, 1.0, _LEAK), max_slope=1.0)(
    lambda z: jnp.where(z > 0.0, z, _LEAK * z)
)
activation("elu", derivative=lambda z, y: _exp_below(z), max_slope=1.0)(
    lambda z: jnp.where(z > 0.0, z, _expm1_below(z))
)
activation(
    "selu",
    derivative=lambda z, y: _SELU_SCALE * jnp.where(z > 0.0, 1.0, _SELU_ALPHA * _exp_below(z)),
    max_slope=_SELU_SCALE * _SELU_ALPHA,
)(lambda z: _SELU_SCALE * jnp.where(z > 0.0, z, _SELU_ALPHA * _expm1_below(z)))
activation("gelu", derivative=_gelu_slope, max_slope=1.1289042)(_gelu)
activation("silu", derivative=_silu_slope, max_slope=1.0998393)(jax.nn.silu)
activation("softplus", derivative=lambda z, y: jax.nn.sigmoid(z), max_slope=1.0)(jax.nn.softplus)


def activate(names: tuple[str, ...], index: int | Int[Array, ""], z: Float[Array, "..."]) -> Float[Array, "..."]:
    """Apply activation number `index` of `names` to `z`, elementwise.

    Its gradient is `g · f'(z)`, with one branch backward as there is one forward. A choice among ours is traced and
    lowered once for all blocks of a shape; what a user's own does may change while its name stays.

    Args:
        names: the activations that this program can choose from, static.
        index: which one, a Python int or a traced scalar.
        z: any shape.
    """
    settled = set(names) <= set(ACTIVATIONS.own) and not isinstance(index, int)
    y: Array = (_once if settled else _chosen)(names, index, z)
    return y


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chosen(names: tuple[str, ...], index: int | Array, z: Array) -> Array:
    y: Array = choose(index, [ACTIVATIONS[name].function for name in names], z)
    return y


_once = jax.jit(_chosen, static_argnums=0)


def _activate_forward(
    names: tuple[str, ...], index: int | Array, z: Array
) -> tuple[Array, tuple[int | Array, Array, Array]]:
    y = choose(index, [ACTIVATIONS[name].function for name in names], z)
    return y, (index, z, y)


def _activate_backward(names: tuple[str, ...], kept: tuple[int | Array, Array, Array], g: Array) -> tuple[None, Array]:
    index, z, y = kept
    return None, choose(index, [partial(_pull_back, name) for name in names], z, y, g)


def _pull_back(name: str, z: Array, y: Array, g: Array) -> Array:
    return g if name == "identity" else g * ACTIVATIONS[name].derivative(z, y).astype(g.dtype)


_chosen.defvjp(_activate_forward, _activate_backward)


def slope(names: tuple[str, ...], index: int | Int[Array, ""], z: Float[Array, "..."]) -> Float[Array, "..."]:
    """`|f'(z)| / max |f'|` for activation number `index` of `names`: 1 where it is steepest, 0 where it is flat."""

    def relative(name: str, z: Array) -> Array:
        activation = ACTIVATIONS[name]
        slopes = jnp.abs(activation.derivative(z, activation.function(z)))
        return (slopes / _greatest_slope(activation)).astype(jnp.float32)

    relatives: Array = choose(index, [partial(relative, name) for name in names], z)
    return relatives


@cache
def _greatest_slope(activation: Activation) -> float:
    if activation.max_slope is not None:
        return activation.max_slope
    with jax.ensure_compile_time_eval():
        z = jnp.linspace(-20.0, 20.0, 40_001)
        return float(jnp.max(jnp.abs(activation.derivative(z, activation.function(z)))))
