"""Hypotheses that ask nothing are refused: sides that share cells, and keys that change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bn_ablate.config import ConfigError, build_study
from bn_ablate.plan import make_plan

PRE, NONE, POST = ({"placement": level} for level in ("pre", "none", "post"))
BASE = {"id": "h", "statement": "s", "metric": "gap"}
CONTRAST = BASE | {"kind": "contrast"}
INTERACTION = BASE | {"kind": "interaction"}
ALONG = {"axis": "dropout_rate"}
SLOPE = BASE | ALONG | {"kind": "slope"}
SHIFT = BASE | ALONG | {"kind": "optimum_shift", "metric": "final_validation_loss"}
LEVEL = BASE | ALONG | {"kind": "equivalent_level", "level": 0.1}


def at(side: dict[str, Any], rate: Any) -> dict[str, Any]:
    return side | {"dropout_rate": rate}


def problems(hypothesis: dict[str, Any], *exclude: dict[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a study that has this hypothesis; nothing, if it can be planned."""
    axes = {"placement": ["none", "pre", "post"], "dropout_rate": [0.0, 0.2, 0.5]}
    try:
        make_plan(build_study({"name": "x", "axes": axes, "exclude": list(exclude), "hypotheses": [hypothesis]}))
    except ConfigError as error:
        return [(problem.key, problem.message) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("hypothesis", "side", "telling"),
    [
        (
            CONTRAST | {"a": at(PRE, 0.0), "b": {}},
            "b",
            "shares a cell with a (placement pre and dropout_rate 0.0), which it is compared with: what both hold "
            'is compared with itself; leave it out of b, as b = { placement = ["none", "post"] }',
        ),
        (CONTRAST | {"a": {}, "b": {}}, "b", "shares 9 cells with a (placement none and"),
        (CONTRAST | {"a": {}, "b": {}}, "b", "dropout_rate 0.5; and 3 more), which it is"),
        (CONTRAST | {"a": {}, "b": PRE}, "b", 'leave it out of a, as a = { placement = ["none", "post"] }'),
        (CONTRAST | {"summary": "spread", "a": at({}, [0.0, 0.2]), "b": at({}, [0.2, 0.5])}, "b", "shares 3 cells"),
        (
            BASE | {"kind": "equivalence", "margin": 0.1, "a": PRE, "b": PRE},
            "b",
            "compared with itself; name other cells in a or b",
        ),
        (INTERACTION | {"a": PRE, "b": NONE, "c": POST, "d": POST}, "d", "shares 3 cells with c"),
        (INTERACTION | {"a": PRE, "b": NONE, "c": PRE, "d": POST}, "c", "shares 3 cells with a"),
        (INTERACTION | {"a": PRE, "b": NONE, "c": POST, "d": at(NONE, 0.5)}, "d", "shares a cell with b"),
        (SLOPE | {"a": PRE, "b": {"placement": ["pre", "none"]}}, "b", 'as b = { placement = "none" }'),
        (SHIFT | {"a": PRE, "b": PRE}, "b", "shares 3 cells with a"),
        (
            LEVEL | {"a": at(PRE, 0.5), "b": PRE},
            "b",
            'leave it out of b, as b = { placement = "pre", dropout_rate = [0.0, 0.2] }',
        ),
        (
            CONTRAST | {"a": PRE, "b": {"placement": ["pre", "none"]}, "select": {"axis": "dropout_rate"}},
            "b",
            "shares 3 cells with a",
        ),
    ],
)
def test_a_side_is_not_compared_with_itself(hypothesis: dict[str, Any], side: str, telling: str) -> None:
    ((key, message),) = problems(hypothesis)
    assert key == f"hypotheses.h.{side}"
    assert telling in message


def test_a_row_of_each_is_not_compared_with_itself() -> None:
    ((key, message),) = problems(CONTRAST | {"each": ["placement"], "a": {}, "b": NONE})
    assert key == "hypotheses.h.none.b"
    assert "shares 3 cells with a" in message


def test_what_the_exclusions_take_away_is_not_shared() -> None:
    hypothesis = CONTRAST | {"a": PRE, "b": at({"placement": ["none", "pre"]}, 0.5)}
    assert problems(hypothesis)
    assert problems(hypothesis, at(PRE, 0.5)) == []


@pytest.mark.parametrize(
    "hypothesis",
    [
        CONTRAST | {"a": PRE, "b": {"placement": ["none", "post"]}},
        SLOPE | {"a": {}},
        LEVEL | {"a": at(PRE, 0.5), "b": NONE},
        # b and c are on one side of the sum, (pre - none) - (none - post): a curve's bend
        INTERACTION | {"a": PRE, "b": NONE, "c": NONE, "d": POST},
    ],
)
def test_sides_that_share_no_cell_with_what_they_are_compared_with(hypothesis: dict[str, Any]) -> None:
    assert problems(hypothesis) == []


@pytest.mark.parametrize(
    "hypothesis",
    [
        CONTRAST | {"a": PRE, "b": NONE},
        INTERACTION | {"a": at(PRE, 0.0), "b": at(PRE, 0.5), "c": at(NONE, 0.0), "d": at(NONE, 0.5)},
        SLOPE | {"a": PRE},
    ],
)
def test_a_margin_needs_a_direction(hypothesis: dict[str, Any]) -> None:
    for alternative in ({}, {"alternative": "two-sided"}):
        ((key, message),) = problems(hypothesis | alternative | {"margin": 0.25})
        assert key == "hypotheses.h.margin"
        assert "= 0.25 has no effect where alternative is 'two-sided'" in message
        assert 'alternative = "greater" (above 0.25) or "less" (below -0.25)' in message
    assert problems(hypothesis | {"margin": 0.0}) == []
    assert problems(hypothesis | {"margin": 0.25, "alternative": "less"}) == []


def test_a_primary_hypothesis_needs_a_claim() -> None:
    hypothesis = CONTRAST | {"a": PRE, "b": NONE, "primary": True}
    ((key, message),) = problems(hypothesis)
    assert key == "hypotheses.h.primary"
    assert 'add one, as claim = "C4"' in message
    assert problems(hypothesis | {"claim": "C4"}) == []


@pytest.mark.parametrize(("kind", "key"), [("equivalence", "alternative"), ("optimum_shift", "margin")])
def test_a_key_of_another_kind_is_refused(kind: str, key: str) -> None:
    more = {"equivalence": {"margin": 0.1}, "optimum_shift": ALONG | {"metric": "final_validation_loss"}}[kind]
    given = {"alternative": "less", "margin": 0.1}[key]
    ((at_key, message),) = problems(BASE | {"kind": kind, "a": PRE, "b": NONE} | more | {key: given})
    assert at_key == f"hypotheses[0].{key}"
    assert "there is no such key" in message


def test_a_choice_that_the_exclusions_leave_none_of_is_refused() -> None:
    hypothesis = CONTRAST | {"a": PRE, "b": NONE, "select": {"axis": "dropout_rate"}}
    assert problems(hypothesis) == []
    ((key, message),) = problems(hypothesis, at({"placement": ["pre", "none"]}, [0.2, 0.5]))
    assert key == "hypotheses.h.select.axis"
    assert "there is nothing to choose" in message


def test_one_network_has_no_spread() -> None:
    spread = CONTRAST | {"summary": "spread", "a": PRE, "b": at(NONE, 0.5)}
    ((key, message),) = problems(spread)
    assert (key, "whose spread is always 0" in message) == ("hypotheses.h.b", True)
    chosen = problems(spread | {"b": NONE, "select": {"axis": "dropout_rate"}})
    assert [key for key, _ in chosen] == ["hypotheses.h.a", "hypotheses.h.b"]
    assert all("that differ in more than 'dropout_rate'" in message for _, message in chosen)


START = CONTRAST | {"metric": "saturated_start"}


@pytest.mark.parametrize(
    ("hypothesis", "key", "telling"),
    [
        (
            START | {"a": at({}, 0.5), "b": at({}, 0.0)},
            "b",
            "differs from a in dropout_rate alone, but 'saturated_start'",
        ),
        (
            BASE
            | {"kind": "equivalence", "metric": "first_mean_start", "margin": 0.1}
            | {"a": at(PRE, 0.5), "b": at(PRE, 0.2)},
            "b",
            "is measured before the first step, and until then that makes no difference: they are the same networks",
        ),
        (START | {"a": PRE, "b": NONE, "select": {"axis": "dropout_rate"}}, "select.axis", "it makes no difference"),
        (SLOPE | {"metric": "std_start", "a": PRE}, "axis", "is 'dropout_rate', but 'std_start' is measured before"),
    ],
)
def test_what_acts_in_training_is_not_asked_of_its_start(hypothesis: dict[str, Any], key: str, telling: str) -> None:
    ((found, message),) = problems(hypothesis)
    assert found == f"hypotheses.h.{key}"
    assert telling in message


def test_the_start_may_be_compared_where_networks_differ() -> None:
    assert problems(START | {"a": at(PRE, 0.5), "b": at(NONE, 0.0)}) == []
