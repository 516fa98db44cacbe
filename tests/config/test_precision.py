"""A study says numbers in float64; what they become where they are used is what decides whether they are accepted."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bn_ablate.config import ConfigError, build_study
from bn_ablate.config.factors import FACTORS, SECTIONS
from bn_ablate.config.precision import (
    ABOVE_ONE,
    BELOW_ONE,
    LARGEST,
    RATES,
    SMALLEST,
    Used,
    bfloat16,
    float32,
    rate16,
    used_as,
)
from bn_ablate.nn.dropout import drop
from bn_ablate.plan import make_plan
from tests.effort import examples

NUMBERS = {
    f"{name}.{field}": used
    for name, section in SECTIONS.items()
    for field, info in section.model_fields.items()
    if "float" in str(info.annotation) and (used := used_as(section, field))
}


def problem(table: dict[str, Any]) -> str:
    """The one problem of a study."""
    with pytest.raises(ConfigError) as caught:
        make_plan(build_study({"name": "x"} | table))
    (found,) = caught.value.problems
    return f"{found.key}: {found.message}"


def of(key: str, value: float) -> dict[str, Any]:
    section, field = key.split(".")
    return {section: {field: value}}


def test_every_number_of_a_lane_is_checked_as_it_is_used() -> None:
    real = {
        f"{name}.{field}"
        for name, section in SECTIONS.items()
        for field, info in section.model_fields.items()
        if "float" in str(info.annotation) and "Literal" not in str(info.annotation)
    }
    on_the_host = {
        "train.epochs",
        "train.milestones",
        "train.average_start",
        "data.random_labels",
    }  # in float64, or exactly
    optional = {
        "measure.loss_threshold",
        "norm.residual_scale_init",
        "norm.momentum_end",
    }  # float or None: the check is within
    assert real - set(NUMBERS) - on_the_host == optional
    assert "0 in float32" in problem({"norm": {"residual_scale_init": 1e-46}})
    assert "0 in float32" in problem({"measure": {"loss_threshold": 1e-46}})


IN_FLOAT32 = "in float32, in which it is used"


@pytest.mark.parametrize(
    ("key", "value", "telling"),
    [
        ("norm.epsilon", 1e-46, f"is 1e-46, which is 0 {IN_FLOAT32}; the smallest above 0 is 1.1754944e-38"),
        ("norm.epsilon", 1e-40, f"is 1e-40, which is 0 {IN_FLOAT32}"),  # subnormal: XLA counts it as 0
        ("train.learning_rate", 1e-46, f"which is 0 {IN_FLOAT32}"),
        ("train.learning_rate", 1e39, f"which is inf {IN_FLOAT32}; the largest is 3.4028235e+38"),
        ("train.learning_rate", 1e308, f"which is inf {IN_FLOAT32}"),
        ("train.weight_decay", 1e-46, f"which is 0 {IN_FLOAT32}"),
        ("train.weight_decay", 4e38, f"which is inf {IN_FLOAT32}"),
        ("train.momentum", 0.99999999, f"which is 1 {IN_FLOAT32}; the largest below 1 is 0.99999994"),
        ("train.momentum", 1e-50, f"which is 0 {IN_FLOAT32}"),
        ("norm.momentum", 0.99999999, f"which is 1 {IN_FLOAT32}"),
        ("norm.momentum", 5e-324, f"which is 0 {IN_FLOAT32}"),
        ("norm.scale_init", -1e39, f"which is -inf {IN_FLOAT32}; the least is -3.4028235e+38"),
        ("norm.scale_init", 1e-44, f"which is 0 {IN_FLOAT32}"),
        ("norm.bias_init", -1e-44, f"which is 0 {IN_FLOAT32}"),
        ("norm.r_max", 1.00000001, f"which is 1 {IN_FLOAT32}; the smallest above 1 is 1.0000001"),
        ("norm.r_max", 1e39, f"which is inf {IN_FLOAT32}"),
        ("dropout.rate", 0.999993, "which is 1 in steps of 1/65536, to which it is resolved; the largest is 0.999985"),
        ("dropout.rate", 1e-6, "which is 0 in steps of 1/65536"),
    ],
)
def test_what_rounds_to_something_else_is_refused_with_what_it_rounds_to(key: str, value: float, telling: str) -> None:
    assert problem(of(key, value)).startswith(f"{key}: is {value!r}, ")
    assert telling in problem(of(key, value))
    axis = next((name for name, factor in FACTORS.items() if factor.path == key), None)
    assert axis
    assert problem({"axes": {axis: [1.5 if key == "norm.r_max" else 0.5, value]}}).startswith(
        f"axes.{axis}[1]: is {value!r}, "
    )


@pytest.mark.parametrize("key", NUMBERS)
def test_what_a_refusal_offers_is_accepted(key: str) -> None:
    for limit, remedy in NUMBERS[key].limits:
        offered = float(remedy.rpartition(" ")[2])
        if offered < 0 and not key.endswith("_init"):
            continue  # the others may not be negative at all
        (lane,) = make_plan(build_study({"name": "x", "seeds": 1} | of(key, offered))).lanes
        section, field = key.split(".")
        assert NUMBERS[key].rounded(getattr(getattr(lane.cell.settings, section), field)) != limit


def test_limits_themselves_may_be_said_where_the_schema_lets_them() -> None:
    build_study({"name": "x", "norm": {"momentum": 1.0, "bias_init": 0.0}, "train": {"weight_decay": 0, "momentum": 0}})
    build_study({"name": "x", "norm": {"momentum": 0, "scale_init": 0}, "dropout": {"rate": 0}})


@pytest.mark.parametrize(
    ("axis", "levels", "telling"),
    [
        ("learning_rate", [0.1, 0.2, 0.1 + 1e-10], f"lists 0.1, 0.1000000001, which are one number, 0.1, {IN_FLOAT32}"),
        ("bn_momentum", [0.9, 0.900000001], "lists 0.9, 0.900000001, which are one number"),
        ("dropout_rate", [0.5, 0.500001], "lists 0.5, 0.500001, which are one number, 0.5, in steps of 1/65536"),
        ("learning_rate", [0.1, 0.1], "lists 0.1 more than once"),
    ],
)
def test_levels_that_are_one_number_in_use_are_refused(axis: str, levels: list[float], telling: str) -> None:
    assert telling in problem({"axes": {axis: levels}})


def test_what_is_infinite_in_bfloat16_is_refused_there() -> None:
    table = {"norm": {"bias_init": 3.4e38}}
    build_study({"name": "x"} | table)
    assert problem(table | {"train": {"precision": "bfloat16"}}) == "norm.bias_init: = 3.4e+38 is infinite in bfloat16"


@given(st.floats(width=64, allow_nan=False) | st.floats(width=32, allow_nan=False) | st.floats(1e-39, 1e-37))
def test_rounding_is_that_of_numpy_with_subnormal_numbers_as_zero(value: float) -> None:
    with np.errstate(over="ignore"):
        single, half = np.float32(value), ml_dtypes.bfloat16(np.float32(value))
    assert float32(value) == (0.0 if abs(single) < SMALLEST else single)
    assert bfloat16(value) == (0.0 if abs(single) < SMALLEST else half)


def test_the_constants_are_those_of_float32_and_the_compiler_takes_smaller_numbers_for_zero() -> None:
    about = np.finfo(np.float32)
    assert (about.tiny, about.max, np.nextafter(np.float32(1), np.float32(0))) == (SMALLEST, LARGEST, BELOW_ONE)
    assert np.nextafter(np.float32(1), np.float32(2)) == ABOVE_ONE
    double = jax.jit(lambda x: x * 2.0)
    assert double(jnp.float32(SMALLEST)) == 2 * SMALLEST
    assert double(jnp.float32(SMALLEST * 0.9)) == 0.0


@given(st.floats(0, 1) | st.integers(0, 2 * RATES).map(lambda n: n / 2 / RATES))
@settings(max_examples=examples(10, 50))
def test_a_rate_is_resolved_as_dropout_does_it(rate: float) -> None:
    """Of 65536 different bits, those below the rate's steps are dropped."""
    steps = round(rate16(rate) * RATES)
    bits = jnp.arange(max(steps - 2, 0), min(steps + 2, RATES), dtype=jnp.uint16)
    dropped = drop(jnp.ones(len(bits)), rate, bits) == 0
    assert steps == RATES or (np.asarray(dropped) == np.asarray(bits < steps)).all()


def test_refused_rates_would_have_made_what_is_no_number() -> None:
    for rate, finite in ((0.999985, True), (0.999993, False)):
        kept = drop(jnp.ones(4), rate, jnp.full(4, RATES - 1, jnp.uint16))
        assert bool(jnp.isfinite(kept).all() & (kept != 0).all()) == finite
        assert (rate16(rate) < 1) == finite


def test_a_limit_is_named_once() -> None:
    used = Used(float32, "there", ((math.inf, "less"),))
    assert used(1e38) == 1e38
    with pytest.raises(ValueError, match=r"^is 1e\+39, which is inf there; less$"):
        used(1e39)
