"""Optax optimizers by name, with a traced learning rate and weight decay."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bn_ablate.engine.program import Program
from bn_ablate.nn import Factors


def make_tx(program: Program, factors: Factors) -> optax.GradientTransformation:
    """The optimizer of one lane.

    Weight decay is on kernels only: added to the gradient (L2) before the moments for sgd, adam and rmsprop, and
    after them, scaled by the learning rate, for adamw (Loshchilov & Hutter 2019).
    """
    decay = optax.add_decayed_weights(factors.weight_decay, mask=_is_kernel) if program.decays else optax.identity()
    momentum = optax.trace(program.momentum, program.nesterov) if program.momentum else optax.identity()
    match program.optimizer:
        case "sgd":
            steps = [decay, momentum]
        case "adam":
            steps = [decay, optax.scale_by_adam()]
        case "adamw":
            steps = [optax.scale_by_adam(), decay]
        case "rmsprop":
            steps = [decay, optax.scale_by_rms(), momentum]
        case name:
            raise ValueError(f"{name!r} is no optimizer known here")
    return optax.chain(*steps, _scale_by_rate(program, factors.learning_rate))


def rate_shape(program: Program, step: Int[Array, ""]) -> Float[Array, ""]:
    """The share of the peak rate at `step`: linear warm-up, then constant, cosine or linear decay to 0."""
    step = jnp.asarray(step, jnp.float32)
    warmup = program.warmup_steps
    rising = (step + 1.0) / max(warmup, 1)
    done = jnp.clip((step - warmup) / max(program.steps - warmup, 1), 0.0, 1.0)
    falling = {"constant": jnp.ones_like(done), "cosine": 0.5 * (1.0 + jnp.cos(jnp.pi * done)), "linear": 1.0 - done}
    return jnp.where(step < warmup, rising, falling[program.schedule])


def _scale_by_rate(program: Program, peak: Float[Array, ""]) -> optax.GradientTransformation:
    if program.schedule == "constant" and not program.warmup_steps:
        return optax.scale(-peak)
    return optax.scale_by_schedule(lambda count: -peak * rate_shape(program, count))


def _is_kernel(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: getattr(path[-1], "key", None) == "kernel", params)
