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
from bn_ablate.nn.convolution import matmul_conv3x3, native_conv3x3
from bn_ablate.nn.networks import max_pool


def pulled(conv: Any, x: Any, kernel: Any, g: Any) -> tuple[Any, ...]:
    """A convolution, and its gradients for a cotangent."""
    y, pull = jax.vjp(conv, x, kernel)
    return y, *pull(g)


def normal(*shape: int) -> np.ndarray:
    """Random numbers, others for each shape."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((6, 8, 8, 2), 1),
        ((3, 5, 7, 1), 2),
        ((1, 1, 1, 4), 2),
        ((2, 5, 6, 16), 2),
        *(
            pytest.param(shape, stride, marks=pytest.mark.slow)
            for shape, stride in [((2, 8, 8, 3), 1), ((2, 8, 8, 3), 2), ((2, 2, 1, 2), 1), ((2, 5, 6, 16), 1)]
        ),
    ],
)
def test_values_and_gradients_agree_with_xla(
    shape: tuple[int, ...], stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so little cache that several images are done one after the other, or a few at a time, or all at once."""
    monkeypatch.setattr(convolution, "CACHED", 1000)
    x = normal(*shape)
    kernel = normal(3, 3, shape[-1], 5)
    g = normal(shape[0], -(-shape[1] // stride), -(-shape[2] // stride), 5)
    convolutions = [partial(conv, stride=stride) for conv in (matmul_conv3x3, native_conv3x3)]
    both = jax.jit(lambda *given: [pulled(conv, *given) for conv in convolutions])
    for mine, other in zip(*both(x, kernel, g), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-3)


def test_many_lanes_are_convolved_as_each_of_them() -> None:
    """With enough channels for XLA's own convolution, which has another form for many kernels at once."""
    x, kernels, g = normal(2, 4, 5, 16), normal(3, 3, 3, 16, 16), normal(3, 2, 4, 5, 16)
    program = jax.jit(jax.vmap(partial(pulled, matmul_conv3x3), (None, 0, 0)))
    lowered = program.lower(x, kernels, g)
    assert "stablehlo.convolution" not in lowered.as_text()
    together, alone = lowered.compile()(x, kernels, g), jax.jit(partial(pulled, native_conv3x3))
    for lane, kernel in enumerate(kernels):
        for mine, one in zip(together, alone(x, kernel, g[lane]), strict=True):
            np.testing.assert_allclose(mine[lane], one, rtol=1e-4, atol=1e-3)


def test_max_pool_by_hand() -> None:
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[6.0, 8.0]])


def test_max_pool_has_one_gradient_per_window_and_hides_no_nan() -> None:
    x = np.array([[1.0, 3.0], [3.0, 2.0]], np.float32).reshape(1, 2, 2, 1)
    gradient = np.asarray(jax.jit(jax.grad(lambda x: 7.0 * max_pool(x).sum()))(x))
    assert sorted(gradient.ravel().tolist()) == [0.0, 0.0, 0.0, 7.0]
    assert float(np.sum(gradient * x)) == 21.0
    pool = jax.jit(max_pool)
    for i in range(4):
        assert np.isnan(pool(np.where(np.arange(4) == i, np.nan, x.ravel()).reshape(1, 2, 2, 1))).all()


@pytest.mark.parametrize(
    "shape", [(2, 5, 7, 3), *(pytest.param(shape, marks=pytest.mark.slow) for shape in [(3, 4, 6, 2), (1, 2, 3, 1)])]
)
def test_max_pool_agrees_with_a_reduction_over_windows(shape: tuple[int, ...]) -> None:
    x = normal(*shape)

    def reduced(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    @jax.jit
    def both(x: Any, g: Any) -> Any:
        (ours, pull_ours), (theirs, pull_theirs) = (jax.vjp(pool, x) for pool in (max_pool, reduced))
        return (ours, pull_ours(g)), (theirs, pull_theirs(g))

    n, height, width, channels = shape
    ours, theirs = both(x, normal(n, height // 2, width // 2, channels))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_windows_are_centred_on_the_pixels_that_a_shortcut_keeps() -> None:
    """A kernel that is 1 at its centre takes the pixels themselves: every one, or every other from the first on."""
    x, kernel = normal(2, 4, 5, 3), np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    both = jax.jit(lambda x, kernel: [matmul_conv3x3(x, kernel, stride) for stride in (1, 2)])
    for stride, y in zip((1, 2), both(x, kernel), strict=True):
        np.testing.assert_array_equal(y, x[:, ::stride, ::stride])
