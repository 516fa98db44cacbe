"""Kernels that are fitted to what layers give of the first batch, and kernels that are standardized."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import init_state
from bn_ablate.nn import stack_factors
from bn_ablate.nn.parameters import standardized
from tests.engine import reference, small

TABLE: dict[str, Any] = {
    "name": "lsuv",
    "data": {"n_train": 20, "n_validation": 20, "n_test": 20},
    "model": {"depth": 2, "width": 8, "kernel_init": "lsuv", "activation": "relu"},
    "train": {"steps": 1, "batch_size": 20},
    "measure": {"every": 1, "probe": 20},
    "norm": {"placement": "none"},
}


def test_fitted_layers_give_values_of_variance_1_on_the_first_batch() -> None:
    """Each layer of each lane, whatever it has before it, and the logits; and the kernels are orthogonal still."""
    base = small.BASE.at({"kernel_init": "lsuv", "width": 6})
    levels: list[dict[str, Any]] = [
        {"placement": "none", "activation": "relu"},
        {"placement": "pre", "scale_init": 3.0, "bias_init": 0.5},
        {"placement": "post"},
    ]
    lanes = [base.at(some) for some in levels]
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    (batch,) = small.batches(program, 1)

    @jax.jit
    @jax.vmap
    def seen(factors: Any) -> Any:
        state = init_state(program, 0, factors, batch.x)
        given = {"params": state.params, "batch_stats": state.batch_stats}
        return state.params, *program.network.apply(given, batch.x, factors, train=True, mutable=True)

    params, logits, changed = seen(stack_factors(lanes, program.structure))
    np.testing.assert_allclose(np.var(logits, (1, 2)), 1.0, rtol=1e-4)
    for i in range(3):
        (given,) = changed["intermediates"][f"block_{i}"]["linear_output"]
        np.testing.assert_allclose(np.var(given, (1, 2)), 1.0, rtol=1e-4)
        for kernel in np.asarray(params[f"block_{i}"]["linear"]["kernel"]):
            product = kernel.T @ kernel
            np.testing.assert_allclose(product, product[0, 0] * np.eye(6), atol=1e-4)
    assert len({float(scale) for scale in params["block_1"]["linear"]["kernel"].std((1, 2))}) == 3  # each its own
    np.testing.assert_allclose(params["block_0"]["norm"]["scale"][:, 0], [1.0, 3.0, 1.0])


def test_the_engine_fits_them_to_the_first_batch_of_the_seed() -> None:
    """Here the probe is that batch: what the activations of each layer get varies by 1 at step 0."""
    lane = bn.train_lane(bn.build_study(TABLE), seed=1)
    np.testing.assert_allclose(lane.tables["layers"].filter(step=0)["std"], 1.0, rtol=1e-4)
    kernel = lane.initial.params["block_0"]["linear"]["kernel"]
    z = lane.batch(0).images.reshape(20, -1) @ np.asarray(kernel)
    assert np.var(z) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("shape", [(5, 3), (3, 3, 2, 4)])
def test_a_standardized_kernel_by_hand(shape: tuple[int, ...]) -> None:
    """Less its mean and of length 1, for each output; forward, and backward by finite differences."""
    draw = np.random.default_rng(0)
    kernel, g = draw.normal(2.0, 3.0, shape), draw.normal(size=shape)
    bias = draw.normal(size=3)

    def seen(kernel: Any) -> Any:
        return standardized({"linear": {"kernel": kernel}, "bias": jnp.asarray(bias)})

    got, pull_back = jax.vjp(lambda kernel: seen(kernel)["linear"]["kernel"], jnp.asarray(kernel, jnp.float32))
    rows = kernel.reshape(-1, shape[-1])
    np.testing.assert_allclose(got.reshape(rows.shape), reference.standardized(rows), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.square(got.reshape(rows.shape)).sum(0), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(seen(jnp.asarray(kernel))["bias"], jnp.asarray(bias))
    (d_kernel,) = pull_back(jnp.asarray(g, jnp.float32))
    steps = np.eye(kernel.size).reshape(-1, *shape) * 1e-5

    def loss(kernel: np.ndarray) -> float:
        return float(np.sum(g.reshape(rows.shape) * reference.standardized(kernel.reshape(rows.shape))))

    slopes = [(loss(kernel + step) - loss(kernel - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(np.ravel(d_kernel), slopes, rtol=1e-3, atol=1e-5)
