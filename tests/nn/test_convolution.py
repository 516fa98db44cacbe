"""The convolution with matrix products against XLA's own, forward and backward."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from bn_ablate.nn import convolution
from bn_ablate.nn.cnn import max_pool
from bn_ablate.nn.convolution import matmul_conv3x3, native_conv3x3


def pulled(conv: Any, x: Any, kernel: Any, g: Any) -> tuple[Any, ...]:
    """A convolution, and its gradients for a cotangent."""
    y, pull = jax.vjp(conv, x, kernel)
    return y, *pull(g)


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((2, 8, 8, 3), 1),
        ((2, 8, 8, 3), 2),
        ((3, 5, 7, 1), 2),
        ((1, 1, 1, 4), 2),
        ((2, 2, 1, 2), 1),
        ((6, 8, 8, 2), 1),
        ((2, 5, 6, 16), 1),
        ((2, 5, 6, 16), 2),
    ],
)
def test_values_and_gradients_agree_with_xla(
    shape: tuple[int, ...], stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so little cache that several images are done one after the other, or a few at a time, or all at once."""
    monkeypatch.setattr(convolution, "CACHED", 1000)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (3, 3, shape[-1], 5))
    g = jax.random.normal(keys[2], (shape[0], -(-shape[1] // stride), -(-shape[2] // stride), 5))
    ours, theirs = (jax.jit(partial(pulled, partial(conv, stride=stride))) for conv in (matmul_conv3x3, native_conv3x3))
    for mine, other in zip(ours(x, kernel, g), theirs(x, kernel, g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-3)


def test_many_lanes_are_convolved_as_each_of_them() -> None:
    """With enough channels for XLA's own convolution, which has another form for many kernels at once."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (2, 4, 5, 16))
    kernels = jax.random.normal(keys[1], (3, 3, 3, 16, 16))
    g = jax.random.normal(keys[2], (3, *x.shape))
    program = jax.jit(jax.vmap(partial(pulled, matmul_conv3x3), (None, 0, 0)))
    assert "stablehlo.convolution" not in program.lower(x, kernels, g).as_text()
    together, alone = program(x, kernels, g), jax.jit(partial(pulled, native_conv3x3))
    for lane, kernel in enumerate(kernels):
        for mine, one in zip(together, alone(x, kernel, g[lane]), strict=True):
            np.testing.assert_allclose(mine[lane], one, rtol=1e-4, atol=1e-3)


def test_max_pool_by_hand() -> None:
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[6.0, 8.0]])


def test_max_pool_has_one_gradient_per_window_and_hides_no_nan() -> None:
    x = jnp.array([[1.0, 3.0], [3.0, 2.0]]).reshape(1, 2, 2, 1)
    gradient = jax.grad(lambda x: 7.0 * max_pool(x).sum())(x)
    assert sorted(gradient.ravel().tolist()) == [0.0, 0.0, 0.0, 7.0]
    assert float(jnp.sum(gradient * x)) == 21.0
    for i in range(4):
        assert jnp.isnan(max_pool(x.reshape(4).at[i].set(jnp.nan).reshape(1, 2, 2, 1))).all()


@pytest.mark.parametrize("shape", [(3, 4, 6, 2), (2, 5, 7, 3), (1, 2, 3, 1)])
def test_max_pool_agrees_with_a_reduction_over_windows(shape: tuple[int, ...]) -> None:
    x = jax.random.normal(jax.random.key(2), shape)

    def reduced(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    ours, pull_ours = jax.vjp(max_pool, x)
    theirs, pull_theirs = jax.vjp(reduced, x)
    np.testing.assert_array_equal(ours, theirs)
    g = jax.random.normal(jax.random.key(3), theirs.shape)
    np.testing.assert_array_equal(pull_ours(g)[0], pull_theirs(g)[0])


def test_windows_are_centred_on_the_pixels_that_a_shortcut_keeps() -> None:
    """A kernel that is 1 at its centre takes the pixels themselves: every one, or every other from the first on."""
    x = jax.random.normal(jax.random.key(1), (2, 4, 5, 3))
    kernel = jnp.zeros((3, 3, 3, 3)).at[1, 1].set(jnp.eye(3))
    for stride in (1, 2):
        np.testing.assert_array_equal(matmul_conv3x3(x, kernel, stride), x[:, ::stride, ::stride])
