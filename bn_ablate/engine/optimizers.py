"""Optax optimizers by name, with a traced learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from bn_ablate.config import names as known
from bn_ablate.config.registry import Registry
from bn_ablate.config.training_keys import Train
from bn_ablate.engine.program import Program
from bn_ablate.nn import Factors
from bn_ablate.nn.parameters import NORMS

Step: TypeAlias = optax.GradientTransformation
Rule: TypeAlias = Callable[[Step, Step], Step]

OPTIMIZERS: Registry[Rule] = known.OPTIMIZERS
"""By name."""


def make_tx(program: Program, factors: Factors) -> optax.GradientTransformation:
    """The optimizer of one lane.

    Gradients are clipped as they come. Weight decay is on kernels, or on what `train.decay_on` says: added to the
    gradient (L2) before the moments for sgd, adam and rmsprop, and after them, scaled by the learning rate, for adamw
    (Loshchilov & Hutter 2019).
    """
    decay, train = _decay(program, factors), program.train
    momentum = optax.trace(train.momentum, train.nesterov) if train.momentum else optax.identity()
    rule = OPTIMIZERS[train.optimizer](decay, momentum)
    clip = [_clip(factors.clip_norm)] if program.clips else []
    return optax.chain(*clip, rule, _scale_by_rate(train, factors.learning_rate))


def optimizer(name: str) -> Callable[[Rule], Rule]:
    """Register the decorated function as the optimizer `name`, which `train.optimizer` may then say.

    It puts two transformations of Optax to their places, and gives the whole: that which adds the decay of weights
    (`train.weight_decay`, on `train.decay_on`), and that of the momentum (`train.momentum`, `train.nesterov`). The
    learning rate and its schedule are applied to what comes out.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> import optax
        >>> @bn.optimizer("lion")
        ... def lion(decay, momentum):
        ...     return optax.chain(optax.scale_by_lion(), decay)
        >>> bn.build_study(name="mine", train={"optimizer": "lion", "learning_rate": 1e-3}).train.optimizer
        'lion'
    """
    return lambda rule: OPTIMIZERS.add(name, rule)


@optimizer("sgd")
def _sgd(decay: Step, momentum: Step) -> Step:
    return optax.chain(decay, momentum)


@optimizer("adam")
def _adam(decay: Step, momentum: Step) -> Step:
    return optax.chain(decay, optax.scale_by_adam())


@optimizer("adamw")
def _adamw(decay: Step, momentum: Step) -> Step:
    return optax.chain(optax.scale_by_adam(), decay)


@optimizer("rmsprop")
def _rmsprop(decay: Step, momentum: Step) -> Step:
    return optax.chain(decay, optax.scale_by_rms(), momentum)


def rate_shape(train: Train, step: Int[Array, ""]) -> Float[Array, ""]:
    """The share of the peak rate at `step`: linear warm-up, then the schedule; `one_cycle` is one from the start."""
    step = jnp.asarray(step, jnp.float32)
    warmup = train.warmup_steps
    rising = (step + 1.0) / max(warmup, 1)
    done = jnp.clip((step - warmup) / max(train.steps - warmup, 1), 0.0, 1.0)
    match train.schedule:
        case "one_cycle":
            with jax.default_matmul_precision("highest"):  # Optax chooses between its two halves by a product
                return jnp.asarray(optax.cosine_onecycle_schedule(train.steps, 1.0)(step))
        case "step":
            scales = {drop: train.decay_factor ** train.drops.count(drop) for drop in train.drops}
            after: Array = jnp.asarray(optax.piecewise_constant_schedule(1.0, scales)(step))
        case "cosine":
            after = 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        case "linear":
            after = 1.0 - done
        case _:
            after = jnp.ones_like(done)
    return jnp.where(step < warmup, rising, after)


def _scale_by_rate(train: Train, peak: Float[Array, ""]) -> optax.GradientTransformation:
    if train.schedule == "constant" and not train.warmup_steps:
        return optax.scale(-peak)
    return optax.scale_by_schedule(lambda count: -peak * rate_shape(train, count))


def _clip(most: Float[Array, ""]) -> Step:
    """Clip by the global norm; where `most` is infinite, gradients stay as they are, whatever their norm."""
    clip = optax.clip_by_global_norm(most)

    def clipped(gradients: Any, params: Any) -> Any:
        found, _ = clip.update(gradients, optax.EmptyState(), params)
        return jax.tree.map(lambda new, old: jnp.where(jnp.isfinite(most), new, old), found, gradients)

    return optax.stateless(clipped)


def _decay(program: Program, factors: Factors) -> Step:
    """The decay of a lane's weights: of kernels, and, where some lane has it, of the others."""
    if not program.decays:
        return optax.identity()
    kernels = optax.add_decayed_weights(factors.weight_decay, mask=partial(_are, "kernel"))
    if not program.decays_more:
        return kernels
    norm, others = factors.weight_decay * factors.decays_norm, factors.weight_decay * factors.decays_others
    return optax.chain(
        kernels,
        optax.add_decayed_weights(norm, mask=partial(_are, "norm")),
        optax.add_decayed_weights(others, mask=partial(_are, "other")),
    )


def _are(kind: Literal["kernel", "norm", "other"], params: Any) -> Any:
    """Which of `params` are kernels, BN's γ and β, or neither."""

    def kind_of(path: tuple[Any, ...]) -> str:
        names = [getattr(entry, "key", None) for entry in path]
        return "kernel" if names[-1] == "kernel" else "norm" if set(NORMS) & {*names[:-1]} else "other"

    return jax.tree.map_with_path(lambda path, _: kind_of(path) == kind, params)
