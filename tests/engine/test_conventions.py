"""What docs/conventions.md says, held to Flax's own layers, to Optax's optimizers, and to recorded PyTorch values."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bn_ablate.config import LaneSettings, names
from bn_ablate.config.architectures import NETWORKS
from bn_ablate.config.network_keys import Model, Norm
from bn_ablate.config.training_keys import Train
from bn_ablate.engine.optimizers import make_tx, rate_shape
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import Batch, init_state, loss_fn
from bn_ablate.measure import cross_entropy, smoothed
from bn_ablate.nn import activate, lane_factors, stack_factors
from bn_ablate.nn.convolution import matmul_conv3x3, native_conv3x3
from bn_ablate.nn.initializers import INITIALIZERS
from bn_ablate.nn.networks import max_pool
from bn_ablate.nn.parameters import role

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "conventions.md").read_text()
TORCH = json.loads((Path(__file__).parent / "torch_conventions.json").read_text())
STEPS, PEAK = 10, 0.05


def optimizer(**train: Any) -> optax.GradientTransformation:
    """Ours, for these settings."""
    settings = LaneSettings(train=Train(**{"steps": STEPS, "learning_rate": PEAK} | train))
    program = program_of([settings], (4, 4, 1), 3)
    lane = lane_factors(settings, program.structure)
    return make_tx(program, lane)


def steps(tx: optax.GradientTransformation, start: Any, gradients: list[Any]) -> list[Any]:
    """The parameters after each step."""

    def step(carry: Any, gradient: Any) -> Any:
        params, state = carry
        updates, state = tx.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *gradients)
    every = jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), stacked)[1])()
    return [jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), every) for i in range(len(gradients))]


@pytest.mark.parametrize("case", TORCH["optimizers"], ids=lambda case: "-".join(map(str, case["train"].values())))
def test_optimizers_do_what_pytorchs_do_with_the_settings_of_the_page(case: dict[str, Any]) -> None:
    start = {"kernel": jnp.array(case["start"])}
    gradients = [{"kernel": jnp.array(gradient)} for gradient in case["gradients"]]
    for got, want in zip(steps(optimizer(**case["train"]), start, gradients), case["after"], strict=True):
        np.testing.assert_allclose(got["kernel"], want, atol=5e-6)


def kernels(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", params)


DECAYED = optax.add_decayed_weights(0.05, mask=kernels)
OPTAX: list[tuple[dict[str, Any], optax.GradientTransformation]] = [
    ({"optimizer": "sgd"}, optax.chain(DECAYED, optax.sgd(PEAK, 0.9))),
    ({"optimizer": "sgd", "nesterov": True}, optax.chain(DECAYED, optax.sgd(PEAK, 0.9, nesterov=True))),
    ({"optimizer": "adam"}, optax.chain(DECAYED, optax.adam(PEAK))),
    ({"optimizer": "adamw"}, optax.adamw(PEAK, weight_decay=0.05, mask=kernels)),
    ({"optimizer": "rmsprop"}, optax.chain(DECAYED, optax.rmsprop(PEAK, momentum=0.9))),
]


@pytest.mark.parametrize(("train", "tx"), OPTAX, ids=["-".join(map(str, train.values())) for train, _ in OPTAX])
def test_optimizers_are_those_of_optax_where_gradients_are_small_too(
    train: dict[str, Any], tx: optax.GradientTransformation
) -> None:
    draw = np.random.default_rng(0)
    start = {"kernel": jnp.asarray(draw.normal(size=4), jnp.float32), "bias": jnp.ones(4)}
    gradients = [
        jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=4) * [1.0, 1e-3, 1e-5, 1e-7], jnp.float32), start)
        for _ in range(STEPS)
    ]
    ours, theirs = steps(optimizer(weight_decay=0.05, **train), start, gradients), steps(tx, start, gradients)
    for got, want in zip(ours, theirs, strict=True):
        for name in ("kernel", "bias"):
            np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-7)


def test_epsilon_of_rmsprop_is_inside_the_root() -> None:
    """u = g / √(0.1·g² + 1e-8) for the first g = 1e-5; outside it would be g / (√0.1·g + 1e-8) = 3.15."""
    g = 1e-5
    (after,) = steps(
        optimizer(optimizer="rmsprop", momentum=0.0), {"kernel": jnp.zeros(1)}, [{"kernel": jnp.array([g])}]
    )
    assert after["kernel"][0] == pytest.approx(-PEAK * g / np.sqrt(0.1 * g * g + 1e-8), rel=1e-5)
    assert after["kernel"][0] == pytest.approx(-PEAK * 0.09995, rel=1e-4)


@pytest.mark.parametrize("name", names.OPTIMIZERS)
def test_decay_is_on_kernels_only(name: str) -> None:
    params = {
        "linear": {"kernel": jnp.ones(2)},
        "bias": jnp.ones(2),
        "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
    }
    nothing = jax.tree.map(jnp.zeros_like, params)
    (after,) = steps(optimizer(optimizer=name, weight_decay=0.1), params, [nothing])
    assert np.all(after["linear"]["kernel"] < 1.0)
    if name in ("sgd", "adamw"):
        np.testing.assert_allclose(after["linear"]["kernel"], 1.0 - PEAK * 0.1, rtol=1e-6)
    for leaf in (after["bias"], after["norm"]["scale"], after["norm"]["bias"]):
        np.testing.assert_array_equal(leaf, 1.0)


@pytest.mark.parametrize(
    ("on", "decayed"),
    [("kernels", {"kernel"}), ("all_but_norm", {"kernel", "bias"}), ("all", {"kernel", "bias", "scale", "norm bias"})],
)
def test_decay_is_on_what_the_study_says(on: str, decayed: set[str]) -> None:
    inside = {
        "linear": {"kernel": jnp.ones(2)},
        "bias": jnp.ones(2),
        "norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)},
    }
    params = {"block_0": inside, "input_norm": inside["norm"], "head": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}}
    (after,) = steps(optimizer(weight_decay=0.1, decay_on=on), params, [jax.tree.map(jnp.zeros_like, params)])
    for path, leaf in jax.tree.leaves_with_path(after):
        *_, module, name = (entry.key for entry in path)
        which = f"{'norm ' * ('norm' in module and name == 'bias')}{name}"
        np.testing.assert_allclose(leaf, 1.0 - PEAK * 0.1 * (which in decayed), rtol=1e-6, err_msg=which)


def test_gradients_are_clipped_by_their_global_norm_and_else_left_alone() -> None:
    """Before decay and momentum: a gradient of norm 5 is halved for 2.5, one of norm 1 is not touched."""
    start = {"kernel": jnp.ones(2), "bias": jnp.ones(1)}
    large = {"kernel": jnp.array([3.0, 0.0]), "bias": jnp.array([4.0])}
    small = jax.tree.map(lambda leaf: leaf / 5, large)
    said: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.1}
    for gradient, factor in ((large, 0.5), (small, 1.0)):
        (after,) = steps(optimizer(clip_norm=2.5, **said), start, [gradient])
        np.testing.assert_allclose(after["kernel"], 1 - PEAK * (factor * gradient["kernel"] + 0.1), rtol=1e-6)
        np.testing.assert_allclose(after["bias"], 1 - PEAK * factor * gradient["bias"], rtol=1e-6)


def rates(**train: Any) -> list[float]:
    """Our learning rate at each step."""
    said = {name: tuple(value) if isinstance(value, list) else value for name, value in train.items()}
    program = program_of([LaneSettings(train=Train(**{"steps": STEPS} | said))], (4, 4, 1), 3)
    shape = jax.jit(jax.vmap(partial(rate_shape, program.train)))
    return [PEAK * float(share) for share in shape(jnp.arange(STEPS))]


@pytest.mark.parametrize("case", TORCH["schedules"], ids=lambda case: "-".join(map(str, case["train"].values())))
def test_schedules_do_what_pytorchs_do_with_the_settings_of_the_page(case: dict[str, Any]) -> None:
    np.testing.assert_allclose(rates(**case["train"]), case["rates"], atol=1e-8)


def test_schedules_follow_the_formulas_of_the_page_and_optax() -> None:
    warmup = 4
    for name, falling in (
        ("constant", lambda done: 1.0),
        ("cosine", lambda done: 0.5 * (1.0 + np.cos(np.pi * done))),
        ("linear", lambda done: 1.0 - done),
    ):
        want = [(t + 1) / warmup if t < warmup else falling((t - warmup) / (STEPS - warmup)) for t in range(STEPS)]
        np.testing.assert_allclose(rates(schedule=name, warmup_steps=warmup), PEAK * np.array(want), rtol=1e-5)
    rising = optax.linear_schedule(PEAK / warmup, PEAK, warmup - 1)
    joined = optax.join_schedules([rising, optax.cosine_decay_schedule(PEAK, STEPS - warmup)], [warmup])
    np.testing.assert_allclose(
        rates(schedule="cosine", warmup_steps=warmup), [float(joined(t)) for t in range(STEPS)], rtol=1e-5
    )


def test_the_rate_falls_at_each_milestone_after_the_warm_up() -> None:
    """Milestones count from the first step of all, shares are of all steps, and one said twice counts twice."""
    found = rates(schedule="step", milestones=(0.3, 8), decay_factor=0.5, warmup_steps=2)
    np.testing.assert_allclose(found, PEAK * np.repeat([0.5, 1.0, 0.5, 0.25], [1, 2, 5, 2]), rtol=1e-6)
    twice = rates(schedule="step", milestones=(4, 0.4))
    np.testing.assert_allclose(twice, PEAK * np.repeat([1.0, 0.01], [4, 6]), rtol=1e-6)
    assert rates(schedule="step") == rates(schedule="step", milestones=(5, 8))


def test_one_cycle_is_that_of_optax() -> None:
    """From 1/25 of the peak up to it at 3/10 of the steps, and down to 1/25 · 10⁻⁴ of it."""
    found = rates(schedule="one_cycle")
    np.testing.assert_allclose([found[0], found[3]], [PEAK / 25, PEAK], rtol=1e-6)
    cycle = optax.cosine_onecycle_schedule(STEPS, PEAK)
    np.testing.assert_allclose(found, [float(cycle(t)) for t in range(STEPS)], rtol=1e-5)


@pytest.mark.parametrize("name", names.ACTIVATIONS)
def test_activations_and_their_slopes_are_pytorchs_also_at_the_kinks(name: str) -> None:
    z = jnp.array(TORCH["points"])

    @jax.jit
    def both(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull_back = jax.vjp(lambda z: activate((name,), 0, z), z)
        return y, pull_back(jnp.ones_like(z))[0]

    y, slope = both(z)
    np.testing.assert_allclose(y, TORCH["activations"][name]["y"], rtol=2e-6, atol=1e-12)
    np.testing.assert_allclose(slope, TORCH["activations"][name]["slope"], rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize("case", TORCH["convolutions"], ids=lambda case: f"stride={case['stride']}")
def test_convolutions_and_pooling_are_pytorchs(case: dict[str, Any]) -> None:
    x, kernel = jnp.array(case["x"]), jnp.array(case["kernel"])
    for convolve in (native_conv3x3, matmul_conv3x3):
        y = jax.jit(convolve, static_argnums=2)(x, kernel, case["stride"])
        np.testing.assert_allclose(y, case["y"], atol=1e-5)
    np.testing.assert_allclose(jax.jit(max_pool)(x), case["pooled"], atol=1e-6)


def test_the_loss_is_pytorchs() -> None:
    case = TORCH["loss"]
    labels = jnp.array(case["labels"])
    mean = jax.jit(jax.value_and_grad(lambda logits: jnp.mean(cross_entropy(logits, labels))))
    loss, gradient = mean(jnp.array(case["logits"]))
    assert float(loss) == pytest.approx(case["loss"], rel=1e-6)
    np.testing.assert_allclose(gradient, case["gradient"], atol=1e-7)
    logits = jnp.array(case["logits"])
    losses = cross_entropy(logits, labels)
    assert float(jnp.mean(smoothed(losses, logits, 0.1))) == pytest.approx(case["smoothed by 0.1"], rel=1e-6)
    np.testing.assert_array_equal(smoothed(losses, logits, 0.0), losses)


class Plain(nn.Module):
    """The networks in Flax's own layers, as the page lays them out; dropout is not here, and BN is on every block."""

    settings: LaneSettings
    train: bool

    def norm(self, x: jax.Array) -> jax.Array:
        """Flax's BN with our defaults."""
        return nn.BatchNorm(not self.train, momentum=0.9, use_fast_variance=False)(x)

    def block(self, linear: nn.Module, x: jax.Array, shortcut: jax.Array | None = None) -> jax.Array:
        """Linear, BN and activation in the order of the placement; a shortcut is added to what BN gives."""
        placement, z = self.settings.norm.placement, linear(x)
        if placement == "none":
            return nn.gelu(z if shortcut is None else z + shortcut, approximate=False)
        if placement == "pre":
            normed = self.norm(z)
            return nn.gelu(normed if shortcut is None else normed + shortcut, approximate=False)
        normed = self.norm(nn.gelu(z, approximate=False))
        return normed if shortcut is None else normed + shortcut

    def after(self, x: jax.Array) -> jax.Array:
        """BN and activation."""
        return nn.gelu(self.norm(x), approximate=False)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The logits."""
        model, bias = self.settings.model, self.settings.norm.placement != "pre"

        def conv(channels: int, stride: int = 1) -> nn.Module:
            return nn.Conv(channels, (3, 3), (stride, stride), ((1, 1), (1, 1)), use_bias=bias)

        if model.architecture == "mlp":
            x = x.reshape(len(x), -1)
            for _ in range(model.depth):
                x = self.block(nn.Dense(model.width, use_bias=bias), x)
        elif model.architecture == "cnn":  # depth 4: C C P C D, for images of 4 × 4 pixels
            for i, channels in enumerate((model.width, model.width, 2 * model.width)):
                x = self.block(conv(channels), x)
                x = nn.max_pool(x, (2, 2), (2, 2)) if i == 1 else x
            x = self.block(nn.Dense(4 * model.width, use_bias=bias), x.reshape(len(x), -1))
        elif model.architecture == "resnet_preact":  # BN and activation before each convolution but the first
            x = conv(model.width)(x)
            inner = self.block(conv(model.width), self.after(x))
            x = x + conv(model.width)(inner)
            inner = self.block(conv(2 * model.width, 2), self.after(x))
            across = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, model.width)))
            x = jnp.mean(self.after(across + conv(2 * model.width)(inner)), (1, 2))
        else:  # depth 5: a stem, a residual, and one of a second stage
            x = self.block(conv(model.width), x)
            inner = self.block(conv(model.width), x)
            x = self.block(conv(model.width), inner, x)
            across = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, model.width)))
            inner = self.block(conv(2 * model.width, 2), x)
            x = jnp.mean(self.block(conv(2 * model.width), inner, across), (1, 2))
        return nn.Dense(3)(x)


@pytest.mark.parametrize(
    ("architecture", "depth", "placement"),
    [
        ("mlp", 2, "none"),
        ("mlp", 2, "post"),
        ("resnet", 5, "pre"),
        ("resnet_preact", 5, "pre"),
        pytest.param("cnn", 4, "pre", marks=pytest.mark.slow),
        pytest.param("resnet", 5, "post", marks=pytest.mark.slow),
    ],
)
def test_networks_are_laid_out_as_the_page_says(architecture: str, depth: int, placement: Any) -> None:
    """The same numbers in Flax's own layers, in training with the moving statistics that follow, and in evaluation."""
    settings = LaneSettings(
        model=Model(architecture=architecture, depth=depth, width=4, activation="gelu"),  # type: ignore[arg-type]
        norm=Norm(placement=placement),
    )
    program = program_of([settings], (4, 4, 1), 3)
    lane = lane_factors(settings, program.structure)
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.normal(size=(6, 4, 4, 1)), jnp.float32)
    state = jax.eval_shape(partial(init_state, program), 0)
    params = jax.tree.map(lambda leaf: draw.normal(0.2, 0.5, leaf.shape).astype(np.float32), state.params)
    stats = jax.tree.map(lambda leaf: draw.uniform(0.5, 2.0, leaf.shape).astype(np.float32), state.batch_stats)
    theirs: dict[str, Any] = {"params": {}, "batch_stats": {}}
    linear = {"mlp": ["Dense"] * 2, "cnn": ["Conv"] * 3 + ["Dense"]}.get(architecture, ["Conv"] * 5)
    counts = {"Dense": 0, "Conv": 0}
    for i, kind in enumerate((*linear, "Dense")):
        name = f"{kind}_{counts[kind]}"
        counts[kind] += 1
        if i == depth:
            theirs["params"][name] = params["head"]
            continue
        block = params[f"block_{i}"]
        theirs["params"][name] = block["linear"] | ({} if placement == "pre" else {"bias": block["bias"]})
        if placement != "none":
            theirs["params"][f"BatchNorm_{i}"] = block["norm"]
            theirs["batch_stats"][f"BatchNorm_{i}"] = stats[f"block_{i}"]["norm"]

    @jax.jit
    def both(ours: Any, theirs: Any) -> Any:
        keep = ["batch_stats"]
        return [
            (
                program.network.apply(ours, x, lane, train=train, mutable=keep),
                Plain(settings, train).apply(theirs, x, mutable=keep),
            )
            for train in (True, False)
        ]

    found = both({"params": params, "batch_stats": stats}, theirs)
    for train, ((got, changed), (want, expected)) in zip((True, False), found, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)
        if train and placement != "none":
            for i in range(depth):
                mine, other = changed["batch_stats"][f"block_{i}"]["norm"], expected["batch_stats"][f"BatchNorm_{i}"]
                for statistic in ("mean", "var"):
                    np.testing.assert_allclose(mine[statistic], other[statistic], rtol=1e-4, atol=1e-5)


def test_a_residual_is_the_identity_at_first_where_its_last_gamma_is_0_and_that_gamma_learns() -> None:
    """All γ at 0 would pass nothing on: the residuals' own at 0 pass the shortcut, and have a gradient."""
    base = LaneSettings().at({"architecture": "resnet", "depth": 5, "width": 4, "activation": "gelu"})
    lanes = [base.at({"residual_scale_init": 0.0}), base.at({"residual_scale_init": 0.0, "placement": "post"})]
    program = program_of(lanes, (4, 4, 1), 3)
    x, y = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 4, 1)), jnp.float32), jnp.arange(6) % 3

    @jax.jit
    @jax.vmap
    def look(lane: Any) -> Any:
        state = init_state(program, 0, lane)
        given = partial(loss_fn, program, lane, batch_stats=state.batch_stats, batch=Batch(x, y, None))
        (_, seen), gradient = jax.value_and_grad(
            lambda params: given(params, collect=("intermediates",)), has_aux=True
        )(state.params)
        return state.params, seen["intermediates"], gradient

    params, seen, gradient = look(stack_factors(lanes, program.structure))
    for i in range(5):
        np.testing.assert_array_equal(params[f"block_{i}"]["norm"]["scale"], 0.0 if i in (2, 4) else 1.0)
    (stem,) = seen["block_2"]["shortcut"]
    np.testing.assert_array_equal(seen["block_2"]["activation_input"][0][0], stem[0])
    assert (np.abs(gradient["block_2"]["norm"]["scale"]) > 1e-4).all(1).tolist() == [True, True]


@pytest.mark.parametrize("name", names.INITIALIZERS)
def test_initializers_have_the_variances_and_the_ends_of_the_page(name: str) -> None:
    """A Dense kernel and a convolution's; truncated normals end at 2/.87962566 standard deviations."""
    draws = INITIALIZERS[name]()
    initialize = jax.jit(partial(draws), static_argnums=(1, 2))
    for shape, fan_in, fan_out in (((100, 400), 100, 400), ((3, 3, 16, 128), 144, 1152)):
        kernel = np.asarray(initialize(jax.random.key(0), shape, jnp.float32))
        if name in ("orthogonal", "lsuv"):  # as lsuv draws it
            matrix = kernel.reshape(-1, shape[-1])
            identity = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
            np.testing.assert_allclose(identity, np.eye(len(identity)), atol=1e-5)
            continue
        family, form = name.split("_")
        variance = {"lecun": 1 / fan_in, "he": 2 / fan_in, "glorot": 2 / (fan_in + fan_out)}[family]
        assert kernel.var() == pytest.approx(variance, rel=0.03)
        end = np.sqrt(variance) * (np.sqrt(3) if form == "uniform" else 2 / 0.87962566103423978)
        assert np.abs(kernel).max() <= end * 1.0001
        assert np.abs(kernel).max() >= 0.98 * end


def test_what_starts_at_zero_and_what_at_one() -> None:
    settings = LaneSettings(model=Model(depth=2, width=4))
    state = jax.jit(partial(init_state, program_of([settings], (4, 4, 1), 3)))(0)
    for path, leaf in jax.tree.leaves_with_path(state.params):
        if path[-1].key != "kernel":
            np.testing.assert_array_equal(leaf, 1.0 if role(path) == "scale" else 0.0)
    for path, leaf in jax.tree.leaves_with_path(state.batch_stats):
        np.testing.assert_array_equal(leaf, 1.0 if path[-1].key == "var" else 0.0)


def test_the_page_speaks_of_every_choice() -> None:
    said = set(re.findall(r"`([\w.]+)`", PAGE))
    for choices in (
        names.ACTIVATIONS,
        names.OPTIMIZERS,
        names.INITIALIZERS,
        names.SCHEDULES,
        NETWORKS,
        names.DROPOUT_KINDS,
    ):
        assert not set(choices) - said
