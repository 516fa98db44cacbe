"""Verdicts for planted effects, through the store and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bn_ablate.analysis import analyze, write_claims
from bn_ablate.results import Results, open_results, verify
from tests.synthetic import write_results

SEEDS = 10
MIRRORED = pytest.mark.slow
"""What the other side, sign or kind of a case says, which is judged by the same lines."""
NOISE = np.random.default_rng(3).normal(size=(2, 100))


def hypothesis(kind: str = "contrast", **more: Any) -> dict[str, Any]:
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
    return {"id": "h", "kind": kind, "statement": "s", "metric": "final_test_accuracy"} | sides | more


def planted(
    path: Path, *hypotheses: dict[str, Any], effect: float = 0.0, spread: float = 0.01, seeds: int = SEEDS
) -> Results:
    """Results in which `pre` differs from `none` by `effect` give or take `spread`, in every metric."""

    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        value = 0.5 + 0.05 * NOISE[0, seed]
        if levels["placement"] == "pre":
            value += effect + spread * (NOISE[1, seed] - NOISE[1, :seeds].mean())
        return row | {"final_test_accuracy": value, "gap": value}

    table = {"name": "planted", "seeds": seeds, "axes": {"placement": ["none", "pre"]}, "hypotheses": list(hypotheses)}
    return write_results(path, table, change=plant)


@pytest.mark.parametrize(
    ("effect", "asked", "verdict"),
    [
        (0.05, {"alternative": "greater"}, "supported"),
        (-0.05, {"alternative": "greater"}, "contradicted"),
        pytest.param(0.05, {"alternative": "less"}, "contradicted", marks=MIRRORED),
        pytest.param(-0.05, {"alternative": "less"}, "supported", marks=MIRRORED),
        (0.05, {"alternative": "greater", "margin": 0.02}, "supported"),
        pytest.param(0.05, {"alternative": "greater", "margin": 0.08}, "contradicted", marks=MIRRORED),
        (0.05, {"alternative": "greater", "margin": 0.05}, "inconclusive"),
        pytest.param(-0.05, {"alternative": "less", "margin": 0.02}, "supported", marks=MIRRORED),
        pytest.param(-0.05, {"alternative": "less", "margin": 0.08}, "contradicted", marks=MIRRORED),
        (0.05, {}, "supported"),
        pytest.param(-0.05, {}, "supported", marks=MIRRORED),
        (0.0, {}, "inconclusive"),
        (0.0, {"kind": "equivalence", "margin": 0.02}, "equivalent"),
        pytest.param(0.05, {"kind": "equivalence", "margin": 0.02}, "contradicted", marks=MIRRORED),
        (0.02, {"kind": "equivalence", "margin": 0.02}, "inconclusive"),
    ],
)
def test_planted_effects(tmp_path: Path, effect: float, asked: dict[str, Any], verdict: str) -> None:
    (record,) = analyze(planted(tmp_path, hypothesis(**asked), effect=effect))
    assert record["verdict"] == verdict
    assert record["estimate"] == pytest.approx(effect, abs=1e-12)
    low, high = record["interval"]
    assert low < record["estimate"] < high
    assert record["n_seeds"] == SEEDS
    at_the_bound = effect == asked.get("margin", 0.0)
    assert (record["seeds_needed"] is None) == (verdict != "inconclusive" or at_the_bound)
    assert record["reason"].endswith(".")


def test_record_is_complete_and_by_hand(tmp_path: Path) -> None:
    (record,) = analyze(planted(tmp_path, hypothesis(alternative="greater", claim="C7"), effect=0.05))
    d = 0.05 + 0.01 * (NOISE[1, :SEEDS] - NOISE[1, :SEEDS].mean())
    assert record["effect_size"] == pytest.approx(d.mean() / d.std(ddof=1))
    assert record["p"] == record["p_adjusted"] == 2 / 2**SEEDS
    assert record["estimand"] == (
        "Mean final test accuracy over placement pre (1 cell) minus that over placement none (1 cell), paired by seed."
    )
    assert record["reason"] == "The 95% interval lies above 0, and the adjusted p is 0.002."
    assert (record["unit"], record["claim"], record["alternative"]) == ("fraction", "C7", "greater")


def test_holm_over_the_study(tmp_path: Path) -> None:
    many = [hypothesis(id=f"h{i}", alternative="greater") for i in range(30)]
    records = analyze(planted(tmp_path, *many, effect=0.05))
    assert records[0]["p"] == 2 / 2**SEEDS
    assert records[0]["p_adjusted"] == pytest.approx(30 * 2 / 2**SEEDS)
    assert {record["verdict"] for record in records} == {"inconclusive"}
    assert records[0]["reason"] == (
        "The 95% interval lies above 0, but the adjusted p is 0.059: no p of 10 seeds is below 0.001953, of which Holm "
        "over 30 hypotheses makes 0.059."
    )


@pytest.mark.parametrize(("lost", "verdict"), [(0, "supported"), (2, "supported"), (3, "inconclusive")])
def test_a_fifth_of_the_seeds_may_be_lost(tmp_path: Path, lost: int, verdict: str) -> None:
    def lose(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        up = 0.1 + 0.001 * seed if levels["placement"] == "pre" else 0.0
        gone = seed < lost and levels["placement"] == "none"
        row |= {"gap": math.nan if gone else 0.3 + up, "final_test_accuracy": 0.5 + up}
        return row | {"status": "diverged" if gone else "ok"}

    asked = [hypothesis(metric="gap", alternative="greater"), hypothesis(id="accuracy", alternative="greater")]
    table = {"name": "lost", "axes": {"placement": ["none", "pre"]}, "hypotheses": asked}
    gap, accuracy = analyze(write_results(tmp_path, table, change=lose))
    assert (gap["verdict"], gap["n_seeds"], gap["n_excluded"]) == (verdict, SEEDS - lost, lost)
    assert gap["n_diverged_lanes"] == lost
    assert gap["seeds_needed"] is None
    assert (accuracy["verdict"], accuracy["n_excluded"], accuracy["n_diverged_lanes"]) == ("supported", 0, lost)
    if lost == 3:
        assert gap["reason"].startswith("3 of 10 seeds are left out, more than a fifth")


@pytest.mark.parametrize(("seeds", "reason"), [(4, "4 have a value"), (1, "1 has a value")])
def test_too_few_seeds(tmp_path: Path, seeds: int, reason: str) -> None:
    (record,) = analyze(planted(tmp_path, hypothesis(), effect=0.5, seeds=seeds))
    assert record["verdict"] == "inconclusive"
    assert reason in record["reason"]
    assert (record["interval"] is None) == (record["p"] is None) == (seeds == 1)


def test_metric_that_no_lane_has(tmp_path: Path) -> None:
    records = analyze(planted(tmp_path, hypothesis(metric="underfitting"), hypothesis(id="other", alternative="less")))
    none, other = records
    assert (none["verdict"], none["n_seeds"], none["estimate"], none["interval"]) == ("inconclusive", 0, None, None)
    assert none["p_adjusted"] is None
    assert other["p_adjusted"] == pytest.approx(min(1.0, 2 * other["p"]))  # the other one still counts in the family


def test_cells_are_averaged_within_a_seed_and_all_must_be_there(tmp_path: Path) -> None:
    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        if levels["placement"] == "post":
            return row | {"gap": 0.0}
        gap = {0.0: 1.0, 0.1: 3.0}[levels["dropout_rate"]] + 0.01 * seed
        return row | {"gap": math.inf if seed == 9 and levels["dropout_rate"] == 0.1 else gap}

    asked = hypothesis(metric="gap", alternative="greater", a={"placement": ["pre"]}, b={"placement": "post"})
    axes = {"placement": ["pre", "post"], "dropout_rate": [0.0, 0.1]}
    results = write_results(tmp_path, {"name": "mean", "axes": axes, "hypotheses": [asked]}, change=plant)
    (record,) = analyze(results)
    assert record["estimate"] == pytest.approx(2.0 + 0.01 * np.arange(9).mean())
    assert (record["n_seeds"], record["n_excluded"]) == (9, 1)


def test_claims_are_written_and_sealed(tmp_path: Path) -> None:
    records = write_claims(planted(tmp_path, hypothesis(margin=0.1, alternative="greater"), effect=0.05))
    said = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert said.pop("judged").keys() == {"config_sha256", "lanes_sha256"}
    assert said == {"study": "planted", "alpha": 0.05, "hypotheses": records}
    assert open_results(tmp_path).claims == records
    assert verify(tmp_path) == []


def test_a_study_may_have_no_hypotheses(tmp_path: Path) -> None:
    assert write_claims(planted(tmp_path)) == []
