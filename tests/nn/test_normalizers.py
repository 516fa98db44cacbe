"""Normalizers that stand in BN's place: against Flax, by hand, by finite differences, and side by side."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import bn_ablate as bn
from bn_ablate.config.names import NORM_GRADIENTS
from bn_ablate.config.normalizers import NORMALIZERS
from bn_ablate.engine.program import program_of
from bn_ablate.nn import How, Normalization, NormSettings, Structure, normalize
from bn_ablate.nn.statistics import THROUGH, Beside, Kept, Statistics, Through
from tests.engine import small

KINDS = NORMALIZERS.own
BY_EXAMPLE = ("layer", "group", "instance", "rms")
IMAGES, VECTORS, CHANNELS = (4, 3, 2, 6), (5, 6), 6
EPSILON = 1e-3
SHAPED = [(kind, shape) for kind in KINDS for shape in (VECTORS, IMAGES) if (kind, shape) != ("instance", VECTORS)]


def drawn(shape: tuple[int, ...], seed: int = 0) -> jax.Array:
    return 2.0 * jax.random.normal(jax.random.key(seed), shape) + jnp.broadcast_to(jnp.arange(CHANNELS), shape)


@pytest.fixture(scope="module")
def variables() -> Any:
    """γ, β and moving statistics, none of them at its first value."""
    keys = jax.random.split(jax.random.key(1), 4)
    scale, bias, mean, var = (jax.random.normal(key, (CHANNELS,)) for key in keys)
    return {"params": {"scale": 1 + scale, "bias": bias}, "batch_stats": {"mean": mean, "var": 1 + var**2}}


def run(kinds: tuple[str, ...], index: Any, variables: Any, x: jax.Array, *, train: bool) -> Any:
    norm = Normalization(kinds, groups=3)
    settings = NormSettings(True, momentum=0.75, epsilon=EPSILON, kind=index)
    return norm.apply(variables, x, settings, train=train, mutable=["batch_stats"])


def flax_module(kind: str, shape: tuple[int, ...]) -> nn.Module:
    """Flax's own; its axes say that statistics are over places too."""
    example = tuple(range(1, len(shape)))
    match kind:
        case "layer":
            return nn.LayerNorm(EPSILON, reduction_axes=example, feature_axes=-1, use_fast_variance=False)
        case "group":
            return nn.GroupNorm(3, epsilon=EPSILON, use_fast_variance=False)
        case "instance":
            return nn.InstanceNorm(epsilon=EPSILON, use_fast_variance=False)
    return nn.RMSNorm(EPSILON, reduction_axes=example, feature_axes=-1)


@pytest.mark.parametrize("shape", [pytest.param(VECTORS, marks=pytest.mark.slow), IMAGES])
def test_those_of_an_example_agree_with_flax_forward_and_backward(shape: tuple[int, ...], variables: Any) -> None:
    """In training and in evaluation, which are the same."""
    kinds = [kind for kind, its in SHAPED if its == shape and kind in BY_EXAMPLE]
    x, g = drawn(shape), drawn(shape, 3)

    def ours(kind: str, train: bool, params: Any, x: jax.Array) -> Any:
        return run((kind,), 0, variables | {"params": params}, x, train=train)[0]

    def theirs(kind: str, params: Any, x: jax.Array) -> Any:
        if kind == "rms":  # which has no bias there
            bias = jnp.broadcast_to(params["bias"], x.shape)
            return flax_module(kind, shape).apply({"params": {"scale": params["scale"]}}, x) + bias
        return flax_module(kind, shape).apply({"params": params}, x)

    @jax.jit
    def pulled(params: Any, x: jax.Array) -> Any:
        def every(f: Any, *args: Any) -> Any:
            y, pull_back = jax.vjp(lambda *given: {kind: f(kind, *args, *given) for kind in kinds}, params, x)
            return y, [pull_back({k: g if k == kind else 0 * g for k in kinds}) for kind in kinds]

        return every(ours, True), every(ours, False), every(theirs)

    train, evaluation, want = pulled(variables["params"], x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), train, want)
    jax.tree.map(np.testing.assert_array_equal, evaluation, train)


@pytest.mark.parametrize("shape", [VECTORS, IMAGES])
def test_a_part_of_batch_normalization_by_hand(shape: tuple[int, ...], variables: Any) -> None:
    """What is not subtracted, or does not divide, has no moving average either."""
    x, axes = np.asarray(drawn(shape), float), tuple(range(len(shape) - 1))
    mean, var = x.mean(axes), x.var(axes)
    scale, bias = (np.asarray(variables["params"][name], float) for name in ("scale", "bias"))
    kept = jax.tree.map(lambda leaf: np.asarray(leaf, float), variables["batch_stats"])
    moved = {"mean": 0.75 * kept["mean"] + 0.25 * mean, "var": 0.75 * kept["var"] + 0.25 * var}
    for kind, want, evaluated, stats in (
        (
            "mean_only",
            (x - mean) * scale + bias,
            (x - kept["mean"]) * scale + bias,
            {"mean": moved["mean"], "var": kept["var"]},
        ),
        (
            "variance_only",
            x / np.sqrt(var + EPSILON) * scale + bias,
            x / np.sqrt(kept["var"] + EPSILON) * scale + bias,
            {"mean": kept["mean"], "var": moved["var"]},
        ),
    ):
        got, changed = run((kind,), 0, variables, jnp.asarray(x, jnp.float32), train=True)
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=kind)
        for name, value in stats.items():
            np.testing.assert_allclose(changed["batch_stats"][name], value, rtol=1e-5, err_msg=f"{kind} {name}")
        got, changed = run((kind,), 0, variables, jnp.asarray(x, jnp.float32), train=False)
        np.testing.assert_allclose(got, evaluated, rtol=1e-4, atol=1e-5, err_msg=kind)


@pytest.mark.parametrize("shape", [pytest.param(VECTORS, marks=pytest.mark.slow), IMAGES])
def test_gradients_against_finite_differences(shape: tuple[int, ...]) -> None:
    """In one program with all of them, as a lane has it."""
    how, weights = How((THROUGH, *KINDS), 3), drawn(shape, 4)
    # so far off that both bounds are reached, since a correction within them is a constant to the gradient only
    kept = Kept(Statistics(jnp.full(CHANNELS, -9.0), jnp.full(CHANNELS, 50.0)), jnp.float32(1), 1.5, 0.5)

    @jax.jit
    def loss(index: jax.Array, x: jax.Array, scale: jax.Array, bias: jax.Array, alpha: jax.Array) -> jax.Array:
        return jnp.sum(weights * jnp.sin(normalize(how, index, x, scale, bias, 0.1, Beside(kept, None, alpha))[0]))

    args = drawn(shape), jnp.linspace(0.5, 2.0, CHANNELS), jnp.linspace(-1.0, 1.0, CHANNELS), jnp.full(1, 0.3)
    for kind in [kind for kind, its in SHAPED if its == shape]:
        of_kind = partial(loss, jnp.int32(how.kinds.index(kind)))
        check_grads(of_kind, args, order=1, modes=["rev"], atol=3e-2, rtol=3e-2)


PARTS: dict[str, tuple[tuple[int, ...], bool, bool]] = {
    "batch": ((0, 1, 2), True, True),
    "mean_only": ((0, 1, 2), True, False),
    "variance_only": ((0, 1, 2), False, True),
    "layer": ((1, 2, 3), True, True),
    "instance": ((1, 2), True, True),
}
"""Normalizer -> the axes of its statistics, whether it subtracts, whether it divides."""


def test_a_gradient_that_takes_statistics_for_constants_is_that_of_constants() -> None:
    """By finite differences around x of what is written out here, with the mean, the variance, or both held at x."""
    draw = np.random.default_rng(0)
    x, g = draw.normal(1.0, 2.0, IMAGES), draw.normal(size=IMAGES)
    scale, bias = draw.normal(1.0, 0.3, CHANNELS), draw.normal(size=CHANNELS)
    how = How((THROUGH, *PARTS), 3)

    def product(x: np.ndarray, of: np.ndarray, kind: str, gradient: str) -> float:
        axes, subtracts, divides = PARTS[kind]
        of_mean, of_square = (
            x if gradient in passing else of for passing in (("full", "no_variance"), ("full", "no_mean"))
        )
        mean = of_mean.mean(axes, keepdims=True) if subtracts else 0.0
        square = of_square.var(axes, keepdims=True) + EPSILON if divides else 1.0
        return float(np.sum(g * ((x - mean) / np.sqrt(square) * scale + bias)))

    @jax.jit
    def pulled(index: jax.Array, through: Any) -> Any:
        def normalized(x: jax.Array) -> jax.Array:
            return normalize(how, index, x, *map(jnp.float32, (scale, bias)), EPSILON, Beside(through=through))[0]

        y, pull_back = jax.vjp(normalized, jnp.float32(x))
        return y, *pull_back(jnp.float32(g))

    at = [tuple(place) for place in draw.integers(IMAGES, size=(12, 4))]
    for kind in PARTS:
        index = jnp.int32(how.kinds.index(kind))
        all_of_it = pulled(index, Through(jnp.asarray(True), jnp.asarray(True)))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, 1e-5, 1e-6), all_of_it, pulled(index, None))
        for gradient in NORM_GRADIENTS:
            through = Through(*(jnp.asarray(gradient in ("full", other)) for other in ("no_variance", "no_mean")))
            y, dx = pulled(index, through)
            np.testing.assert_array_equal(y, all_of_it[0])
            for place in at:
                step = np.zeros(IMAGES)
                step[place] = 1e-5
                slope = (product(x + step, x, kind, gradient) - product(x - step, x, kind, gradient)) / 2e-5
                assert float(dx[place]) == pytest.approx(slope, rel=1e-3, abs=1e-4), (kind, gradient)


def test_the_statistics_of_the_first_batch_stay(variables: Any) -> None:
    """By which the first batch is normalized as by BN, and all that comes as in evaluation; no gradient passes."""
    first, later = drawn(VECTORS), 5.0 * drawn(VECTORS, 7) - 3.0
    start = variables | {"batch_stats": {"mean": jnp.zeros(6), "var": jnp.ones(6), "started": jnp.float32(0)}}

    @jax.jit
    def step(stats: Any, x: jax.Array) -> Any:
        def run_on(x: jax.Array) -> Any:
            return run(("fixed",), 0, variables | {"batch_stats": stats}, x, train=True)

        y, pull_back, changed = jax.vjp(run_on, x, has_aux=True)
        (dx,) = pull_back(jnp.ones_like(y))
        return y, dx, changed["batch_stats"]

    y, dx, stats = step(start["batch_stats"], first)
    np.testing.assert_allclose(y, run(("batch",), 0, start, first, train=True)[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(stats["mean"], first.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], first.var(0), rtol=1e-5)
    np.testing.assert_allclose(dx[0], variables["params"]["scale"] / np.sqrt(first.var(0) + EPSILON), rtol=1e-5)
    y, dx, after = step(stats, later)
    jax.tree.map(np.testing.assert_array_equal, after, stats)
    evaluated = run(("fixed",), 0, variables | {"batch_stats": stats}, later, train=False)[0]
    np.testing.assert_allclose(y, evaluated, rtol=1e-5, atol=1e-5)


def test_batch_renormalization_lies_between_the_batch_and_evaluation(variables: Any) -> None:
    """Within wide bounds training does what evaluation does, at the narrowest what BN does; else by hand."""
    x, started = drawn(IMAGES), jnp.float32(0)
    variables = variables | {"batch_stats": variables["batch_stats"] | {"started": started}}

    def renormed(r_max: float, d_max: float) -> Any:
        norm = Normalization(("batch_renorm",))
        settings = NormSettings(True, momentum=0.75, epsilon=EPSILON, r_max=r_max, d_max=d_max)
        return norm.apply(variables, x, settings, train=True, mutable=["batch_stats"])

    y, changed = renormed(1e6, 1e6)
    evaluated = run(("batch_renorm",), 0, variables, x, train=False)[0]
    np.testing.assert_allclose(y, evaluated, rtol=1e-4, atol=1e-4)
    of_batch, moved = run(("batch",), 0, variables, x, train=True)
    for name in ("mean", "var"):
        np.testing.assert_allclose(changed["batch_stats"][name], moved["batch_stats"][name], rtol=1e-6)
    np.testing.assert_allclose(renormed(1.0, 0.0)[0], of_batch, rtol=1e-5, atol=1e-5)
    kept, exact, axes = variables["batch_stats"], np.asarray(x, float), (0, 1, 2)
    deviation, of_moving = np.sqrt(exact.var(axes) + EPSILON), np.sqrt(np.asarray(kept["var"], float) + EPSILON)
    r = np.clip(deviation / of_moving, 1 / 1.5, 1.5)
    d = np.clip((exact.mean(axes) - np.asarray(kept["mean"])) / of_moving, -0.5, 0.5)
    assert np.sum((r > 1 / 1.5) & (r < 1.5)) > 0
    want = (exact - exact.mean(axes)) / deviation * r + d
    want = want * np.asarray(variables["params"]["scale"]) + np.asarray(variables["params"]["bias"])
    np.testing.assert_allclose(renormed(1.5, 0.5)[0], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [VECTORS, IMAGES])
def test_a_tanh_in_the_place_of_a_normalizer_by_hand(shape: tuple[int, ...], variables: Any) -> None:
    """In training and evaluation; nothing is kept, and no example depends on another."""
    x, alpha = drawn(shape), 0.7
    variables = variables | {"params": variables["params"] | {"alpha": jnp.full(1, alpha)}}
    scale, bias = (np.asarray(variables["params"][name], float) for name in ("scale", "bias"))
    want = scale * np.tanh(alpha * np.asarray(x, float)) + bias
    for train in (True, False):
        y, changed = run(("dyt",), 0, variables, x, train=train)
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
        jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"])
    alone, _ = run(("dyt",), 0, variables, x[2:3], train=True)
    np.testing.assert_allclose(alone, want[2:3], rtol=1e-4, atol=1e-5)


def test_a_grid_over_all_of_them_is_one_program() -> None:
    """Also where some of them have a use for a static factor, and others have none."""
    kinds = [kind for kind in KINDS if kind != "instance"]
    axes = {"norm_kind": kinds, "placement": ["none", "pre", "post"]}
    plan = bn.make_plan(bn.build_study({"name": "x", "norm": {"batch_size": 16, "groups": 4}, "axes": axes}))
    (group,) = plan.groups
    assert (len(group.cells), group.settings.norm.batch_size, group.settings.norm.groups) == (19, 16, 4)
    structure = program_of([cell.settings for cell in group.cells], small.IMAGE, small.CLASSES).structure
    assert (structure.norm_batch_size, structure.norm_groups) == (16, 4)
    assert structure.norm_kinds == tuple(kinds)
    without = Structure.of([cell.settings for cell in group.cells if cell.levels["placement"] == "none"])
    assert without.norm_kinds == ("batch",)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"norm": {"kind": "instance"}}, "norm.kind: = instance leaves nothing of block 0, where every value would be"),
        (
            {"norm": {"kind": "instance"}, "model": {"architecture": "cnn"}},
            "norm.kind: = instance leaves nothing of block 2",
        ),
        (
            {"norm": {"kind": "group", "groups": 24}},
            "norm.groups: = 24 does not divide the 128 channels of block 0; 16",
        ),
        ({"norm": {"kind": "group", "groups": 128}}, "norm.kind: = group leaves nothing of block 0"),
        ({"norm": {"kind": "group", "groups": 999}}, "norm.groups: = 999 does not divide the 128 channels"),
        ({"norm": {"kind": "layer"}, "model": {"width": 1}}, "norm.kind: = layer leaves nothing of block 0"),
    ],
)
def test_what_would_leave_nothing_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(bn.ConfigError, match=said):
        bn.make_plan(bn.build_study({"name": "x"} | table))


def test_what_it_leaves_out_need_not_fit(tmp_path: Path) -> None:
    table = {"name": "x", "norm": {"kind": "instance", "coverage": "without_2"}, "model": {"architecture": "cnn"}}
    assert bn.make_plan(bn.build_study(table)).n_lanes == 10
    table = {"name": "x", "seeds": 1, "norm": {"kind": "group", "groups": 3, "coverage": "input"}}
    said = re.escape("norm.groups: = 3 does not divide the 64 channels of the input; 2 does")
    with pytest.raises(bn.BnAblateError, match=said):
        bn.run(bn.build_study(table), tmp_path)
