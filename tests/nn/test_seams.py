"""Every choice reaches every block of every network, and nothing but the choice does.

Lanes at random levels of all traced factors are run in one program. Each block of each lane is then computed anew, in
NumPy, from what its linear map gave, and each linear map from what stands before it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from scipy.special import erf

from bn_ablate.config import LaneSettings
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import besides, init_state
from bn_ablate.nn import stack_factors
from bn_ablate.nn.parameters import role
from tests.engine import small
from tests.engine.reference import (
    Norm,
    absorbs_bias,
    at_step,
    factor,
    factors_of_block,
    input_normed,
    normed_blocks,
    standardized,
)

FUNCTIONS = {
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * 0.5 * (1 + erf(z / np.sqrt(2))),
}
Array = np.ndarray


def run(lanes: list[LaneSettings]) -> tuple[Any, Any, Any, Any]:
    """A batch, the parameters of these lanes, and what a training pass of their program over it gave and changed."""
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    factors = stack_factors(lanes, program.structure)
    (batch,) = small.batches(program, 1)

    def one(lane: Any) -> Any:
        lane = lane.at(0, program.structure)
        state = init_state(program, 0, lane)
        given = {"params": state.params, "batch_stats": state.batch_stats, **besides(batch)}
        kept = ["batch_stats", "intermediates"]
        logits, changed = program.network.apply(
            given, jax.numpy.asarray(batch.x), lane, batch.noise, train=True, mutable=kept, capture_intermediates=True
        )
        return state.params, logits, dict(changed)

    params, logits, changed = jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(factors))
    return batch, params, logits, changed


class Replay:
    """One lane, block by block, from what its linear maps gave."""

    def __init__(self, settings: LaneSettings, batch: Any, params: Any, changed: Any) -> None:
        self.settings, self.noise, self.params = settings, batch.noise, params
        self.noises = batch.noises or {}
        self.seen, self.stats = changed["intermediates"], changed["batch_stats"]
        self.f = FUNCTIONS[settings.model.activation]
        self.carried: dict[int, Array] = {}

    def normalize(self, x: Array, module: str, p: Any, stats: Any) -> Array:
        """The normalizer as it is in NumPy; the moving statistics are held to what the lane has."""
        moved = {"mean": np.zeros(x.shape[-1]), "var": np.ones(x.shape[-1])}
        drawn = {key: some[module] for key, some in self.noises.items()}
        y = Norm(p, moved, self.settings, drawn=drawn).forward(np.asarray(x))
        for name, want in moved.items():
            near(stats[name], want, f"{module} {name}")
        return y

    def entrance(self, x: Array) -> Array:
        """The network's input as the first linear map gets it."""
        if input_normed(self.settings):
            x = self.normalize(x, "input_norm", self.params["input_norm"], self.stats["input_norm"])
        elif "input_norm" in self.stats:
            np.testing.assert_array_equal(self.stats["input_norm"]["mean"], 0.0)
        dropout = self.settings.dropout
        return x * factor(self.settings, self.noise[-1]) if dropout.site == "ic" and dropout.rate else x

    def block(self, i: int, shortcut: Array | float = 0.0) -> Array:
        """The output of block i; what it sowed is held to what it should have."""
        name, norm = f"block_{i}", self.settings.norm
        block, seen = self.params[name], self.seen[name]
        normed = i in normed_blocks(self.settings)
        early, late = factors_of_block(self.settings, i, self.noise[i])
        z = np.asarray(seen["linear"]["__call__"][0], float)
        absorbed = normed and norm.placement == "pre" and absorbs_bias(self.settings)
        z = z + (0 if absorbed else np.asarray(block["bias"], float))
        near(seen["linear_output"][0], z, name)
        carries = self.settings.model.architecture == "resnet_preact"
        before, after = (0.0, shortcut) if norm.residual == "before_add" and not carries else (shortcut, 0.0)
        self.carried[i] = z + shortcut

        def bn(x: Array) -> Array:
            if normed:
                return self.normalize(x * early, name, block["norm"], self.stats[name]["norm"])
            np.testing.assert_array_equal(self.stats[name]["norm"]["mean"], 0.0)
            np.testing.assert_array_equal(self.stats[name]["norm"]["var"], 1.0)
            return x

        if norm.placement == "post":
            entering = z + before
            activated = self.f(entering)
            output = bn(activated) + after
        else:
            entering = bn(z + before) + after
            output = activated = self.f(entering)
        near(seen["activation_input"][0], entering, f"{name} enters")
        near(seen["activation_output"][0], activated, f"{name} leaves")
        given, carried = seen["__call__"][0]
        near(given, output * late, f"{name} ends")
        near(carried, self.carried[i] if carries and i % 2 == 0 else given, f"{name} carries on")
        return np.asarray(given, float)

    def linear(self, i: int, x: Array, stride: int = 1) -> None:
        """Hold the linear map of block i to that of x."""
        kernel = np.asarray(self.params[f"block_{i}"]["linear"]["kernel"], float)
        if self.settings.model.weight_standardization:
            kernel = standardized(kernel.reshape(-1, kernel.shape[-1])).reshape(kernel.shape)
        if kernel.ndim == 2:
            want = x.reshape(len(x), -1) @ kernel
        else:
            around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), (1, 2))[:, ::stride, ::stride]
            want = np.einsum("nhwcij,ijcd->nhwd", windows, kernel)
        near(self.seen[f"block_{i}"]["linear"]["__call__"][0], want, f"block_{i} linear")


def near(got: Any, want: Any, message: str) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=3e-5, err_msg=message)


def mlp(replay: Replay, x: Array) -> Array:
    h = replay.entrance(x.reshape(len(x), -1))
    for i in range(replay.settings.model.depth):
        replay.linear(i, h)
        h = replay.block(i)
    return h


def cnn(replay: Replay, x: Array) -> Array:
    """Depth 3: two convolutions, a pooling of 4×4 to 2×2, a Dense block."""
    h = replay.entrance(x)
    for i in range(3):
        replay.linear(i, h)
        h = replay.block(i)
        if i == 1:
            h = h.reshape(len(h), 2, 2, 2, 2, -1).max((2, 4))
    return h


def resnet(replay: Replay, x: Array) -> Array:
    """Depth 5: a stem, a residual of as many channels, and one of stride 2 and twice as many."""
    replay.linear(0, replay.entrance(x))
    stem = replay.block(0)
    replay.linear(1, stem)
    replay.linear(2, replay.block(1))
    first = replay.block(2, stem)
    replay.linear(3, first, stride=2)
    replay.linear(4, replay.block(3))
    smaller = first[:, ::2, ::2]
    last = replay.block(4, np.concatenate([smaller, np.zeros_like(smaller)], -1))
    return last.mean((1, 2))


def resnet_preact(replay: Replay, x: Array) -> Array:
    """The same, but for what shortcuts carry: the sums that BN and activation come after."""
    replay.linear(0, replay.entrance(x))
    replay.linear(1, replay.block(0))
    replay.linear(2, replay.block(1))
    replay.linear(3, replay.block(2, replay.carried[0]), stride=2)
    replay.linear(4, replay.block(3))
    smaller = replay.carried[2][:, ::2, ::2]
    return replay.block(4, np.concatenate([smaller, np.zeros_like(smaller)], -1)).mean((1, 2))


OF_ONE_CHANNEL = ("batch", "layer", "rms", "mean_only", "variance_only", "batch_renorm", "fixed", "dyt")
"""Normalizers that can stand at the input of these networks too, an image of one channel."""

CASES: dict[str, tuple[Any, int, dict[str, Any]]] = {
    "mlp": (mlp, 3, {"width": (4,)}),
    "cnn": (cnn, 3, {"norm_kind": OF_ONE_CHANNEL}),
    "resnet": (resnet, 5, {"norm_kind": (*OF_ONE_CHANNEL, "instance")}),
    "resnet_preact": (resnet_preact, 5, {"norm_kind": (*OF_ONE_CHANNEL, "instance")}),
    "resnet, ghost batches": (
        resnet,
        5,
        {"norm_batch_size": (4,), "residual_norm": ("after_add",), "norm_kind": ("batch",)},
    ),
}


LONG = ("cnn", "resnet", "resnet_preact", "resnet, ghost batches")


@pytest.mark.parametrize(
    ("network", "depth", "levels"),
    [pytest.param(*case, id=name, marks=[pytest.mark.slow] if name in LONG else []) for name, case in CASES.items()],
)
def test_every_block_is_what_the_factors_say(network: Any, depth: int, levels: dict[str, Any]) -> None:
    base = {"architecture": network.__name__, "depth": depth, "width": 2}
    lanes = small.random_lanes(40, base, activation=tuple(FUNCTIONS), **levels)
    batch, params, logits, changed = run(lanes)
    for i, settings in enumerate(lanes):
        of_lane = [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for tree in (params, changed)]
        try:
            h = network(Replay(at_step(settings, 0), batch, *of_lane), np.asarray(batch.x, float))
        except AssertionError as error:
            raise AssertionError(f"{settings.model_dump(exclude_defaults=True)}: {error}") from None
        head = of_lane[0]["head"]
        near(logits[i], h @ head["kernel"] + head["bias"], "logits")


@pytest.mark.parametrize("architecture", ["mlp", "cnn", "resnet"])
def test_gamma_and_beta_are_distinguished_from_all_else(architecture: str) -> None:
    lanes = [small.BASE.at({"architecture": architecture, "coverage": "input"})]
    state = jax.eval_shape(partial(init_state, program_of(lanes, small.IMAGE, small.CLASSES)), 0)
    roles = {jax.tree_util.keystr(path): role(path) for path, _ in jax.tree.leaves_with_path(state.params)}
    normalizations = ("['input_norm']", *(f"['block_{i}']['norm']" for i in range(3)))
    for kind in ("scale", "bias"):
        assert {path for path, found in roles.items() if found == kind} == {f"{n}['{kind}']" for n in normalizations}
