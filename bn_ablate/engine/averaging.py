"""The average of a lane's parameters over the steps of its training, by Optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bn_ablate.config.training_keys import Train


def first_average(train: Train, params: Any) -> Any:
    """The average before the first step: the parameters, or nothing where none is kept."""
    return jax.tree.map(jnp.copy, params) if train.average != "none" else ()


def next_average(train: Train, average: Any, params: Any, done: Int[Array, ""]) -> Any:
    """The average after `done` steps, the last of which has given `params`: share · params + (1 − share) · average."""
    return optax.incremental_update(params, average, share(train, done)) if train.average != "none" else ()


def share(train: Train, done: Int[Array, ""]) -> Float[Array, ""]:
    """The share of the parameters after `done` steps in the average, n steps after it began.

    All of it for n ≤ 0; then 1 − decay for `ema`, and 1/(n + 1) for `swa`, the mean of all parameters since it began,
    those it began with among them (Izmailov et al. 2018, arXiv 1803.05407, of every step for their every epoch).
    """
    n = jnp.maximum(done - train.averaged_from, 0)
    later = 1.0 - train.average_decay if train.average == "ema" else 1.0 / (n + 1.0)
    return jnp.where(n > 0, later, 1.0)
