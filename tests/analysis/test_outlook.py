"""What is said of hypotheses before training: held to what judging gives, and to the arithmetic of Holm by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.outlook import Outlook, outlook
from bn_ablate.analysis.judge.verdicts import floor_notes
from bn_ablate.analysis.judge.words import outlook_lines
from bn_ablate.config import build_study
from bn_ablate.plan import Plan, make_plan

PRE, NONE, POST = ({"placement": level} for level in ("pre", "none", "post"))
ALONG = {"axis": "dropout_rate"}
SHIFT = ALONG | {"kind": "optimum_shift", "metric": "final_validation_loss"}
LEVEL = ALONG | {"kind": "equivalent_level", "a": PRE | {"dropout_rate": 0.0}}


def plan_of(
    *hypotheses: dict[str, Any], seeds: int = 10, rates: tuple[float, ...] = (0.0, 0.2, 0.5), **more: Any
) -> Plan:
    """A study of placement × dropout rate, whose hypotheses have the defaults here."""
    base = {"kind": "contrast", "statement": "s", "metric": "gap", "a": PRE, "b": NONE}
    asked = [base | {"id": f"h{i}"} | hypothesis for i, hypothesis in enumerate(hypotheses)]
    axes = {"placement": ["none", "pre", "post"], "dropout_rate": list(rates)}
    return make_plan(build_study({"name": "x", "seeds": seeds, "axes": axes, "hypotheses": asked} | more))


def looked(*hypotheses: dict[str, Any], **more: Any) -> list[Outlook]:
    return outlook(plan_of(*hypotheses, **more))


@pytest.mark.parametrize("family", [1, 2, 8, 41])
def test_a_sign_flip_test_needs_two_in_two_to_the_n_below_holms_share(family: int) -> None:
    fewest = next(n for n in range(5, 15) if 2 / 2**n * family < 0.05)
    for seeds in (2, 4, 5, fewest - 1, fewest, 14, 40):
        found = looked(*[{}] * family, seeds=seeds)
        assert {one.fewest for one in found} == {fewest}
        assert {one.decidable for one in found} == {seeds >= fewest}
        assert {one.verdict for one in found} == {"supported"}
        assert found[0].p == (2 / 2**seeds if seeds <= 14 else 2 / (stats.RESAMPLES + 1))
        assert found[0].p_adjusted == pytest.approx(min(1.0, family * found[0].p))


def test_the_clearest_effect_ends_as_was_said() -> None:
    """5 seeds, two contrasts, an effect of 66 points: p .125, and 7 seeds decide."""

    def judged(seeds: int) -> list[str]:
        plan = plan_of({"alternative": "greater"}, {"b": POST}, seeds=seeds)
        noise = np.random.default_rng(0)
        rows = [
            {**lane.cell.levels, "seed": lane.seed, "status": "ok"}
            | {"gap": 0.66 * (lane.cell.levels["placement"] == "pre") + 0.01 * noise.normal()}
            for lane in plan.lanes
        ]
        records = judge(plan.study, pl.DataFrame(rows))
        assert [record["p_adjusted"] for record in records] == [2 * 2 / 2**seeds] * 2
        assert [one.decidable for one in outlook(plan)] == [record["verdict"] == "supported" for record in records]
        return [record["reason"] for record in records]

    assert judged(7)[0] == "The 95% interval lies above 0, and the adjusted p is 0.031."
    assert judged(5)[0] == (
        "The 95% interval lies above 0, but the adjusted p is 0.125: no p of 5 seeds is below 0.0625, of which Holm "
        "over 2 hypotheses makes 0.125."
    )


def test_a_test_that_counts_no_signs_leaves_more_to_the_others() -> None:
    """An equivalence by t tests may have any p, and then Holm multiplies the others by less: 4 · 2/2⁷ is above .05."""
    same = {"kind": "equivalence", "margin": 0.1}
    assert [one.fewest for one in looked(*[{}] * 4)] == [8] * 4
    assert [one.fewest for one in looked(*[{}] * 3, same)] == [7, 7, 7, 5]


@pytest.mark.parametrize(
    "hypothesis",
    [
        {"alternative": "less", "margin": 0.3},
        {"summary": "spread", "alternative": "greater"},
        {"select": {"axis": "dropout_rate"}, "metric": "final_test_accuracy", "alternative": "less"},
        {"kind": "interaction", "b": NONE, "c": NONE, "d": POST, "margin": 3.0, "alternative": "greater"},
        ALONG | {"kind": "slope", "margin": 5.0, "alternative": "less"},
        ALONG
        | {"kind": "slope", "scale": "rank", "metric": "final_test_accuracy", "margin": 0.4, "alternative": "greater"},
        SHIFT | {"alternative": "less"},
        SHIFT | {"scale": "rank", "metric": "best_validation_accuracy"},
        LEVEL | {"level": 0.2, "alternative": "greater"},
        LEVEL | {"level": 0.5, "alternative": "greater", "metric": "final_train_accuracy"},
        LEVEL | {"level": 0.0, "alternative": "less"},
    ],
)
def test_every_kind_can_be_decided_with_six_seeds_alone(hypothesis: dict[str, Any]) -> None:
    (found,) = looked(hypothesis)
    assert (found.verdict, found.fewest, found.decidable, found.certain) == ("supported", 6, True, False)


@pytest.mark.parametrize(
    ("hypothesis", "more", "telling"),
    [
        (
            SHIFT,
            {"rates": (0.0, 0.5)},
            "the adjusted p is 0.754",
        ),  # two levels: a majority of seeds gives the same shift
        ({"metric": "beta_mean"}, {"measure": {"also": ["affine"]}}, "10 of 10 seeds are left out"),  # no BN, no β
        ({"metric": "underfitting"}, {"rates": (0.2, 0.5)}, "10 of 10 seeds are left out"),  # no partner at rate 0
        (
            {"metric": "underfitting", "a": PRE | {"dropout_rate": 0.0}, "b": NONE | {"dropout_rate": 0.0}},
            {},
            "The 95% interval contains 0",  # both are 0
        ),
        ({"metric": "gradient_slope"}, {"model": {"depth": 1}}, "10 of 10 seeds are left out"),
    ],
)
def test_what_no_number_of_seeds_can_decide(hypothesis: dict[str, Any], more: dict[str, Any], telling: str) -> None:
    found = looked(hypothesis, **more)
    assert [(one.verdict, one.fewest, one.decidable, one.alone) for one in found] == [
        ("inconclusive", None, False, False)
    ]
    good, (warning,) = outlook_lines(found, 10)
    assert good == []
    assert warning.startswith("No number of seeds can decide h0. At the most: ")
    assert telling in warning


def test_margins_as_wide_as_the_metric() -> None:
    accuracy = {"metric": "final_test_accuracy"}
    found = looked(
        accuracy | {"margin": 1.0, "alternative": "greater"},
        accuracy | {"margin": 1.0, "kind": "equivalence"},
        accuracy | {"margin": 0.9, "kind": "equivalence"},
    )
    assert [(one.verdict, one.certain) for one in found] == [
        ("contradicted", False),
        ("equivalent", True),
        ("equivalent", False),
    ]
    good, warnings = outlook_lines(found, 10)
    assert good == ["10 seeds can decide h2; 5 would do"]
    assert warnings[0].startswith("h0 can be contradicted, but never supported. At the most: The 95% interval contains")
    assert warnings[1] == "10 seeds find h1 equivalent whatever comes out: the margin is as wide as the metric"


def test_what_is_said_of_too_few_seeds() -> None:
    rows = {"id": "rows", "each": ["dropout_rate"]}
    assert outlook_lines(looked({}, rows, seeds=5), 5) == (
        [],
        [
            "5 seeds cannot decide h0, rows (3 rows), whatever comes out: the smallest p they give is 0.0625, of which "
            "Holm over 4 hypotheses makes 0.25; 8 would do: --set seeds=8"
        ],
    )
    _, (one,) = outlook_lines(looked({}, seeds=1), 1)
    assert one == (
        "1 seed cannot decide h0, whatever comes out: fewer than 5 carry no verdict; 6 would do: --set seeds=6"
    )


def test_families_too_large_for_any_number_of_seeds() -> None:
    """Beyond 14 seeds signs are drawn at random, and the smallest p is 2/10000: more than the 2/2¹⁴ of 14."""
    _, (larger,) = outlook_lines(looked(*[{}] * 300, seeds=20), 20)
    assert larger.startswith("20 seeds cannot decide any of the 300 hypotheses")
    assert larger.endswith("14 would do: --set seeds=14")
    _, (largest,) = outlook_lines(looked(*[{}] * 410, seeds=20), 20)
    assert largest.startswith("No number of seeds can decide any of the 410 hypotheses")
    assert largest.endswith("state fewer, or divide them over several studies")


def test_seeds_that_did_not_decide_are_not_said_to_be_enough() -> None:
    """The formula gives 9 for these ten differences, which Holm over eight left at p .078."""
    d = [2.1, 2.8, -1.6, 0.9, 2.0, 2.4, 1.7, 2.5, 1.3, 1.6]
    assert stats.seeds_needed(np.array(d), float(np.mean(d)), family=8) == 9
    others = [{"b": POST}] * 7
    plan = plan_of({}, *others)
    rows = [
        {**lane.cell.levels, "seed": lane.seed, "status": "ok"}
        | {"gap": d[lane.seed] if lane.cell.levels["placement"] != "none" else 0.0}
        for lane in plan.lanes
    ]
    first, *_ = judge(plan.study, pl.DataFrame(rows))
    assert first["p_adjusted"] == pytest.approx(0.078125)
    assert (first["verdict"], first["seeds_needed"]) == ("inconclusive", 11)


def test_equal_adjusted_ps_are_explained() -> None:
    record = {"p": 2 / 2**10, "smallest_p": 2 / 2**10, "n_seeds": 10, "p_adjusted": 8 * 2 / 2**10, "family": 8}
    assert floor_notes([record]) == []
    assert floor_notes([record] * 8 + [record | {"p": 0.01, "p_adjusted": 0.016}]) == [
        "8 hypotheses have the same adjusted p, 0.016: each has the smallest p that 10 seeds allow, 0.001953, and Holm "
        "over 8 hypotheses makes 0.016 of it. More seeds would tell them apart."
    ]
