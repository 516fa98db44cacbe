"""One lane's training step: pure, knowing nothing of other lanes."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt16

from bn_ablate.data.augmentation import augment
from bn_ablate.engine.averaging import first_average, next_average
from bn_ablate.engine.optimizers import make_tx
from bn_ablate.engine.program import Program, at_precision
from bn_ablate.engine.randomness import key_of
from bn_ablate.engine.switching import switched
from bn_ablate.measure import cross_entropy, smoothed
from bn_ablate.nn import Factors
from bn_ablate.nn.parameters import keep_frozen, with_initial_affine
from bn_ablate.nn.traced import blank_factors


class TrainState(NamedTuple):
    """All that changes while a lane trains; of many lanes, with leading axes.

    Attributes:
        params: the network's parameters.
        batch_stats: BN's moving mean and biased variance.
        opt_state: the optimizer's state.
        step: training steps done.
        loss_sum: sum of the batch losses since the last measurement.
        diverged_at: the first step whose batch loss was not finite, or −1.
        average: the average of the parameters over steps, where the study asks for one.
    """

    params: Any
    batch_stats: Any
    opt_state: Any
    step: Int[Array, "*lanes"]
    loss_sum: Float[Array, "*lanes"]
    diverged_at: Int[Array, "*lanes"]
    average: Any = ()


class Batch(NamedTuple):
    """What one training step is given.

    Attributes:
        x, y: images and labels.
        noise: the random bits of its dropout masks.
        noises: what is drawn for noisy normalizers: by the key of `norm` that asks for it, and by their block.
        other: the images of another batch, where some lane normalizes by its statistics.
    """

    x: Float[Array, "batch ..."]
    y: Int[Array, " batch"]
    noise: tuple[UInt16[Array, "..."], ...] | None
    noises: dict[str, dict[str, Float[Array, "2 batch channels"]]] | None = None
    other: Float[Array, "batch ..."] | None = None


@at_precision
def init_state(
    program: Program,
    seed: Int[Array, ""] | int,
    lane: Factors | None = None,
    first: Float[Array, "batch ..."] | None = None,
) -> TrainState:
    """The state before the first step: it depends on the seed, and in nothing but γ, β and α on the lane's factors.

    Without a `lane`, γ is 1 and β is 0. Kernels that `program.fits` to what layers give depend on the lane, too, and on
    its `first` training batch; without it they are as they were drawn.
    """
    factors = blank_factors(program.model.depth) if lane is None else lane.at(0, program.structure)
    x = jnp.zeros((1, *program.image_shape), jnp.float32)
    variables = program.network.init(key_of(seed, "params"), x, factors, train=False)
    params = variables["params"] if lane is None else with_initial_affine(variables["params"], lane, program.residuals)
    if program.fits and first is not None:  # what is drawn anew, from the first layer to the last, is fitted
        given = {"params": _without_kernels(params), "batch_stats": variables["batch_stats"]}
        rngs = {"params": key_of(seed, "params")}
        _, made = program.network.apply(given, first, factors, train=True, rngs=rngs, mutable=["params"])
        params = dict(made)["params"]
    return TrainState(
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=make_tx(program, factors).init(params),
        step=jnp.int32(0),
        loss_sum=jnp.float32(0),
        diverged_at=jnp.int32(-1),
        average=first_average(program.train, params),
    )


def _without_kernels(params: Any) -> Any:
    return {
        name: _without_kernels(some) if isinstance(some, dict) else some
        for name, some in params.items()
        if name != "kernel"
    }


def augmented(
    program: Program, seed: Int[Array, ""] | int, steps: Int[Array, " steps"], x: Float[Array, "steps batch h w c"]
) -> Float[Array, "steps batch h w c"]:
    """The training images `x` of some steps as they are seen in training: what is drawn depends on seed and step."""
    if program.augment == "none":
        return x
    of_step = partial(augment, program.augment, program.augment_size)
    return jax.vmap(lambda step, images: of_step(images, key_of(seed, "augment", step)))(steps, x)


@at_precision
def loss_fn(
    program: Program,
    factors: Factors,
    params: Any,
    batch_stats: Any,
    batch: Batch,
    collect: tuple[str, ...] = (),
    other: Any = None,
) -> tuple[Float[Array, ""], dict[str, Any]]:
    """Mean cross-entropy of a training batch, with batch statistics and dropout; and the collections it changed.

    Labels are smoothed, where the lane says so. `other` are the statistics of another batch, as of `other_statistics`.
    """
    logits, changed = program.network.apply(
        {"params": params, "batch_stats": batch_stats, **besides(batch, other)},
        batch.x,
        factors,
        batch.noise,
        train=True,
        mutable=["batch_stats", *collect],
    )
    losses = cross_entropy(logits, batch.y)
    if program.smooths:
        losses = smoothed(losses, logits, factors.label_smoothing)
    return jnp.mean(losses), dict(changed)


def besides(batch: Batch, other: Any = None) -> dict[str, Any]:
    """What normalizers are given besides, as collections of Flax."""
    given = {} if other is None else {"other": other}
    if not batch.noises:
        return given
    drawn: dict[str, dict[str, Array]] = {}
    for key, by_block in batch.noises.items():
        for name, numbers in by_block.items():
            drawn.setdefault(name, {})[key] = numbers
    return given | {"noises": {name: some if name == "input_norm" else {"norm": some} for name, some in drawn.items()}}


@at_precision
def other_statistics(program: Program, factors: Factors, params: Any, batch_stats: Any, batch: Batch) -> Any:
    """The statistics that the network has on the other batch, with its own there; None where no lane asks for them."""
    if batch.other is None:
        return None
    x, no = batch.other, jnp.bool_(False)
    own = factors._replace(bn_momentum=jnp.zeros_like(factors.bn_momentum), by_other=no, unbiased=no)

    def look() -> Any:
        given = {"params": params, "batch_stats": batch_stats, **besides(batch)}
        _, changed = program.network.apply(given, x, own, batch.noise, train=True, mutable=["batch_stats"])
        return dict(changed)["batch_stats"]

    return lax.cond(factors.by_other, look, lambda: batch_stats)


@at_precision
def train_step(program: Program, factors: Factors, state: TrainState, batch: Batch) -> TrainState:
    """One step of the optimizer."""
    lane, factors = factors, factors.at(state.step, program.structure)
    other = other_statistics(program, factors, state.params, state.batch_stats, batch)
    (loss, changed), gradients = jax.value_and_grad(
        lambda params: loss_fn(program, factors, params, state.batch_stats, batch, other=other), has_aux=True
    )(state.params)
    if program.clips and program.freezes:  # what is frozen has no part in the norm
        gradients = keep_frozen(factors, jax.tree.map(jnp.zeros_like, gradients), gradients)
    updates, opt_state = make_tx(program, factors).update(gradients, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    params = keep_frozen(factors, state.params, params) if program.freezes else params
    fresh = (state.diverged_at < 0) & ~jnp.isfinite(loss)
    after = state._replace(
        params=params,
        batch_stats=changed["batch_stats"],
        opt_state=opt_state,
        step=state.step + 1,
        loss_sum=state.loss_sum + loss,
        diverged_at=jnp.where(fresh, state.step, state.diverged_at),
    )
    after = switched(program, lane, factors, after, batch)
    return after._replace(average=next_average(program.train, state.average, after.params, after.step))
