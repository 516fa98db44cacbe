"""How numbers and hypotheses are written for people."""

from __future__ import annotations

from typing import Any

import pytest

from bn_ablate.analysis.judge.groups import groups, spoken
from bn_ablate.analysis.judge.shown import interval_text, texts


def record(**changes: Any) -> dict[str, Any]:
    usual = {"id": "a", "kind": "contrast", "metric": "gap", "statement": "s", "estimate": 0.5, "interval": [0.1, 0.9]}
    return usual | changes


@pytest.mark.parametrize(
    ("estimate", "interval", "shown"),
    [
        (-0.3661, [-0.4329, -0.2831], "−0.366 [−0.433, −0.283]"),
        (-0.00143, [-0.00249, -0.00064], "−0.00143 [−0.00249, −0.00064]"),  # half a width of 0.0009
        (17.349, [15.459, 20.185], "+17.349 [+15.459, +20.185]"),  # never fewer digits than the metric has
        (-0.0000021, [-0.012, 0.0101], "0.000 [−0.012, +0.010]"),
        (0.25, [0.25, 0.25], "+0.250 [+0.250, +0.250]"),
        (0.25, None, "+0.250 –"),
        (1e-9, [0.5e-9, 1.5e-9], "0.00000000 [0.00000000, 0.00000000]"),
    ],
)
def test_an_interval_shows_two_digits_of_half_its_width(
    estimate: float, interval: list[float] | None, shown: str
) -> None:
    said = texts(record(estimate=estimate, interval=interval))
    assert f"{said.estimate} {interval_text(said)}" == shown
    assert said.unit == "nats"


def test_a_level_off_the_axis_is_the_last_one() -> None:
    said = texts(
        record(kind="equivalent_level", axis="dropout_rate", scale="linear", estimate=0.0, interval=[0.0, 0.05])
        | {"off_axis": {"estimate": "<", "low": "<"}}
    )
    assert said == ("< 0", "< 0", "0.050", "dropout rate")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("placement pre", "BN before"),
        ("activation hard_tanh", "hard tanh"),
        ("standardize none", "raw inputs"),
        ("architecture mlp", "MLP"),
        ("weight decay 0.0", "weight decay 0"),
        ("learning rate 0.03", "learning rate 0.03"),
        ("bn epsilon 1e-05", "BN epsilon 1e-05"),
        ("n train all", "n train all"),
        ("on average over which one", "on average over which one"),
    ],
)
def test_levels_are_said_as_people_say_them(written: str, said: str) -> None:
    assert spoken(written) == said


def test_rows_that_each_made_are_one_group() -> None:
    rows = [record(id=f"x.{p}.relu", statement=f"S (a) (placement {p}, activation relu)") for p in ("pre", "post")]
    alone = record(id="y", statement="T (u)")
    found = groups([*rows, alone])
    assert [group.statement for group in found] == ["S (a)", "T (u)"]
    assert [group.names for group in found] == [["BN before, relu", "BN after, relu"], [""]]
    assert found[0].records == rows
