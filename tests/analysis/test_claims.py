"""Claims over several studies: one family, verdicts made again, and what a claim then is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bn_ablate.analysis import combine_claims, write_claims, write_combined_claims
from bn_ablate.analysis.judge.stats import holm
from bn_ablate.results import ResultsError
from tests.synthetic import write_results

NOISE = np.random.default_rng(5).normal(size=10)


def study(path: Path, name: str, *hypotheses: dict[str, Any]) -> Path:
    """A study whose hypotheses each look at a level of BN momentum: `pre` is better by as much as that, in points."""
    effects = [0.0, 0.3, 0.9]

    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"final_test_accuracy": levels["bn_momentum"] * (levels["placement"] == "pre") + 0.1 * NOISE[seed]}

    def noisy(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        row = plant(levels, seed, row)
        return row | {"final_test_accuracy": row["final_test_accuracy"] + 0.05 * np.sin(7 * seed + len(str(levels)))}

    base = {"kind": "contrast", "statement": "s", "metric": "final_test_accuracy", "alternative": "greater"}
    axes = {"placement": ["none", "pre"], "bn_momentum": effects}
    asked = [
        base
        | {side: {"placement": p, "bn_momentum": h["at"]} for side, p in (("a", "pre"), ("b", "none"))}
        | {key: value for key, value in h.items() if key != "at"}
        for h in hypotheses
    ]
    folder = path / name
    write_claims(write_results(folder, {"name": name, "axes": axes, "hypotheses": asked}, change=noisy))
    return folder


def test_the_family_is_what_claims_stand_and_fall_with(tmp_path: Path) -> None:
    one = study(
        tmp_path,
        "one",
        {"id": "main", "claim": "C4", "at": 0.9, "primary": True},
        {"id": "side", "claim": "C4", "at": 0.0},
        {"id": "none", "at": 0.9},
    )
    two = study(
        tmp_path,
        "two",
        {"id": "up", "claim": "C7", "at": 0.3},
        {"id": "down", "claim": "C7", "at": 0.3, "alternative": "less"},
        {"id": "flat", "claim": "C2", "at": 0.0},
        {"id": "fails", "claim": "C5", "at": 0.9, "margin": 0.95},
    )
    said = write_combined_claims([one, two], tmp_path / "claims.json")
    assert said == combine_claims([one, two]) == json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    family = said["hypotheses"]
    assert said["family"] == 5
    assert [(record["study"], record["id"]) for record in family] == [
        ("one", "main"),
        ("two", "up"),
        ("two", "down"),
        ("two", "flat"),
        ("two", "fails"),
    ]
    assert [record["p_adjusted"] for record in family] == pytest.approx(holm([record["p"] for record in family]))
    assert family[0]["in_study"]["p_adjusted"] != family[0]["p_adjusted"]
    assert {claim["claim"]: claim["verdict"] for claim in said["claims"]} == {
        "C2": "inconclusive",
        "C4": "supported",
        "C5": "contradicted" if family[4]["verdict"] == "contradicted" else "inconclusive",
        "C7": "mixed",
    }
    (mixed,) = (claim for claim in said["claims"] if claim["claim"] == "C7")
    assert mixed["reason"] == "Of 2 primary hypotheses: 1 supported, 1 contradicted."
    assert mixed["hypotheses"][0] == {"study": "two", "id": "up", "verdict": "supported"}


def test_verdicts_that_stand_alone_may_fall_in_the_family(tmp_path: Path) -> None:
    many = [{"id": f"h{i}", "claim": f"C{i % 8 + 1}", "at": 0.9} for i in range(20)]
    folders = [study(tmp_path, name, *many) for name in ("one", "two")]
    said = combine_claims(folders)
    assert said["family"] == 40
    assert {record["in_study"]["verdict"] for record in said["hypotheses"]} == {"supported"}
    assert {record["verdict"] for record in said["hypotheses"]} == {"inconclusive"}
    assert said["hypotheses"][0]["p_adjusted"] == pytest.approx(40 * 2 / 2**10)
    assert said["hypotheses"][0]["reason"].endswith(
        "but the adjusted p is 0.078: no p of 10 seeds is below 0.001953, of which Holm over 40 hypotheses makes 0.078."
    )
    assert {claim["verdict"] for claim in said["claims"]} == {"inconclusive"}


def test_folders_without_verdicts_or_of_one_study_are_reported(tmp_path: Path) -> None:
    one = study(tmp_path, "one", {"id": "h", "claim": "C1", "at": 0.9})
    with pytest.raises(ResultsError, match="holds the study 'one', as another"):
        combine_claims([one, one])
    (one / "claims.json").unlink()
    with pytest.raises(ResultsError, match=r"has no claims\.json; `bn-ablate report` writes it"):
        combine_claims([one])
    assert combine_claims([])["claims"] == []
