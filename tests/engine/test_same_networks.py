"""Settings have one canonical form if, and only if, they train to the same network."""

from __future__ import annotations

import random
from typing import Any

import jax
import numpy as np
import pytest

from bn_ablate.config import LaneSettings
from bn_ablate.config.factors import FACTORS
from bn_ablate.engine.program import program_of
from bn_ablate.nn import stack_factors
from tests.engine import small

# without standardized kernels, which take away what is added to all units alike: test_every_factor.py has them
LEVELS: dict[str, tuple[Any, ...]] = {
    "placement": ("none", "pre", "post"),
    "residual_norm": ("before_add", "after_add"),
    "affine": ("none", "scale", "bias", "both"),
    "coverage": ("all", "none", "first", "only_0", "without_0", "last", "every_other", "input"),
    "bn_momentum": (0.5, 0.9),
    "bn_momentum_end": (None, 0.2),
    "bn_epsilon": (0.01, 0.1),
    "scale_init": (0.5, 1.0),
    "residual_scale_init": (None, 0.25, 0.5),
    "bias_init": (-1.0, 0.0),
    "dropout_rate": (0.0, 0.5),
    "dropout_site": ("block", "last", "before_norm", "ic"),
    "dropout_kind": ("bernoulli", "uniform"),
    "learning_rate": (0.1, 0.3),
    "weight_decay": (0.0, 0.1),
    "decay_on": ("kernels", "all", "all_but_norm"),
    "label_smoothing": (0.0, 0.2),
    "clip_norm": (0.0, 0.01),
    "trainable": ("all", "all_but_scale", "all_but_bias", "affine_only"),
    "norm_kind": ("batch", "layer", "rms", "mean_only", "variance_only", "batch_renorm", "fixed", "dyt"),
    "alpha_init": (0.5, 0.8),
    "norm_gradient": ("full", "no_mean", "no_variance", "straight"),
    "norm_statistics": ("own", "other_batch", "moving"),
    "norm_noise": (0, 2, 4),
    "norm_noise_after": (0.0, 0.2),
    "norm_since": (0, 1),
    "norm_until": (0, 2),
    "moving_variance": ("biased", "unbiased"),
    "moving_average": ("exponential", "cumulative"),
    "frozen_from": (0, 1, 2),
    "epsilon_on": ("variance", "deviation"),
    "r_max": (1.0, 1.2),
    "d_max": (0.0, 0.2),
}

ROUNDING = 1e-6
"""How far the same network may lie off after a few steps, by another way to it; other networks lie 2e-3 off."""


def outcomes(lanes: list[LaneSettings]) -> np.ndarray:
    """(lanes, numbers): what can be seen of each lane after a few steps, all of them trained in one program."""
    program = program_of(lanes, small.IMAGE, small.CLASSES)
    given = small.stacked(small.batches(program, min(program.train.steps, 3)))

    @jax.jit
    def seen(factors: Any) -> Any:
        _, end = small.trained(program, "vmap", factors, given)

        def logits(lane: Any, state: Any) -> Any:
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            return program.network.apply(
                variables, given.x[0], lane.at(state.step, program.structure), None, train=False
            )

        return end.loss_sum, jax.vmap(logits)(factors, end)

    loss, logits = map(np.asarray, seen(stack_factors(lanes, program.structure)))
    return np.concatenate([loss[:, None], logits.reshape(len(lanes), -1)], 1)


KINDS = LEVELS["norm_kind"]


@pytest.mark.parametrize(
    ("architecture", "depth", "kinds"),
    [
        ("mlp", 3, KINDS[:2]),
        *(
            pytest.param(name, depth, KINDS, marks=pytest.mark.slow)
            for name, depth in (("mlp", 3), ("mlp", 1), ("resnet", 3), ("resnet_preact", 3))
        ),
    ],
)
def test_traced_factors_act_where_they_are_declared_to(architecture: str, depth: int, kinds: tuple[str, ...]) -> None:
    """Random lanes, each with every factor moved to another level in turn; what no kind here has, stays."""
    draw = random.Random(0)
    base = small.BASE.at({"architecture": architecture, "depth": depth, "activation": "tanh"})
    coverages = tuple(c for c in LEVELS["coverage"] if depth > 1 or c != "every_other")
    without = () if kinds == KINDS else ("r_max", "d_max", "alpha_init")
    levels = {
        name: some
        for name, some in (LEVELS | {"coverage": coverages, "norm_kind": kinds}).items()
        if name not in without
    }
    lanes, moved = [], []
    for _ in range(120 if kinds == KINDS else 60):
        # where gradients are clipped to little, what others change is little too
        lane = small.allowed(base.at({name: draw.choice(some) for name, some in levels.items()} | {"clip_norm": 0.0}))
        lanes.append(lane)
        for name, some in levels.items():
            others = [level for level in some if level != FACTORS[name].level(lane)]
            other = lane.at({name: draw.choice(others)})
            if small.allowed(other) == other:
                moved.append((lane, other, name))
    found = outcomes([*lanes, *(other for _, other, _ in moved), *(lane.canonical for lane in lanes)])
    alone = dict(zip(lanes, found[: len(lanes)], strict=True))
    seen = set()
    for (lane, other, name), outcome in zip(moved, found[len(lanes) : -len(lanes)], strict=True):
        if name == "norm_gradient" and lane.norm.kind == "layer":
            continue  # a sum over units that its mean's gradient adds to all of them is one that it subtracts again
        same = bool(np.abs(outcome - alone[lane]).max() <= ROUNDING)
        seen.add((name, same))
        message = f"{name} from {FACTORS[name].level(lane)} to {FACTORS[name].level(other)} in {lane!r}"
        assert same == (lane.canonical == other.canonical), message
    for lane, outcome in zip(lanes, found[-len(lanes) :], strict=True):
        np.testing.assert_allclose(outcome, alone[lane], rtol=0, atol=ROUNDING, err_msg=str(lane))
        assert lane.canonical.canonical == lane.canonical
    nowhere = () if architecture == "resnet" else ("residual_norm", "residual_scale_init")
    nowhere += ("norm_until",) if architecture == "resnet_preact" else ()  # which no coverage here leaves room for
    assert {name for name, same in seen if not same} == {*levels} - {*nowhere}


OPTIMIZED: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"optimizer": "adam", "momentum": 0.0}, {"optimizer": "adam", "nesterov": True}, True),
    ({"optimizer": "adam"}, {"optimizer": "adamw"}, True),
    ({"momentum": 0.0}, {"momentum": 0.0, "nesterov": True}, True),
    ({"schedule": "constant", "steps": 1}, {"schedule": "linear", "steps": 1}, True),
    ({}, {"warmup_steps": 1}, True),
    ({"optimizer": "rmsprop", "momentum": 0.0}, {"optimizer": "rmsprop", "momentum": 0.9}, False),
    ({"nesterov": False}, {"nesterov": True}, False),
    ({"optimizer": "adam", "weight_decay": 0.1}, {"optimizer": "adamw", "weight_decay": 0.1}, False),
    ({"schedule": "constant", "steps": 3}, {"schedule": "linear", "steps": 3}, False),
    ({"schedule": "cosine", "steps": 3}, {"schedule": "cosine", "steps": 3, "warmup_steps": 1}, False),
    ({"schedule": "constant", "steps": 1}, {"schedule": "one_cycle", "steps": 1}, True),
    ({"schedule": "one_cycle", "steps": 3}, {"schedule": "one_cycle", "steps": 3, "warmup_steps": 2}, True),
    ({"schedule": "constant", "steps": 3}, {"schedule": "step", "steps": 3, "milestones": (3,)}, True),
    ({"schedule": "constant", "steps": 3}, {"schedule": "step", "steps": 3, "milestones": (2,)}, False),
    (
        {"schedule": "step", "steps": 3, "milestones": (0.6,)},
        {"schedule": "step", "steps": 3, "milestones": (2, 5), "warmup_steps": 1},
        True,
    ),
    (
        {"schedule": "step", "steps": 3, "milestones": (2,)},
        {"schedule": "step", "steps": 3, "milestones": (2,), "decay_factor": 0.5},
        False,
    ),
]
"""Static factors that reach training through the optimizer alone, and whether they make the same network."""

OTHERS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"placement": "none"}, {"placement": "none", "norm_batch_size": 4}, True),
    (
        {"trainable": "affine_only", "placement": "none"},
        {"trainable": "affine_only", "affine": "none", "placement": "none", "optimizer": "adam"},
        True,
    ),
    ({"placement": "pre"}, {"placement": "pre", "norm_batch_size": 4}, False),
    ({"norm_kind": "layer"}, {"norm_kind": "layer", "norm_batch_size": 4, "norm_groups": 4}, True),
    ({"norm_kind": "layer"}, {"norm_kind": "group", "norm_groups": 1}, True),
    ({"norm_kind": "layer"}, {"norm_kind": "group", "norm_groups": 2}, False),
]


@pytest.mark.parametrize(("one", "other", "same"), OPTIMIZED, ids=str)
def test_factors_of_the_optimizer_act_where_they_are_declared_to(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    lanes = [small.BASE.at(one), small.BASE.at(other)]
    assert (lanes[0].canonical == lanes[1].canonical) is same
    apart = np.abs(small.optimized(lanes[0]) - small.optimized(lanes[1])).max()
    assert bool(apart <= 1e-6) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [*OTHERS[2:4], *(pytest.param(*case, marks=pytest.mark.slow) for case in (*OTHERS[:2], *OTHERS[4:], *OPTIMIZED))],
    ids=str,
)
def test_static_factors_act_where_they_are_declared_to(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    """In whole networks."""
    base = small.BASE.at({"depth": 1})
    lanes = [base.at(one), base.at(other)]
    assert (lanes[0].canonical == lanes[1].canonical) is same
    apart = np.abs(outcomes([lanes[0]]) - outcomes([lanes[1]])).max()
    assert bool(apart <= 1e-6) is same
