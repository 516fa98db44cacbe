"""Two results folders side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bn_ablate.analysis import beside, markdown, write_claims
from bn_ablate.analysis.pages.pairs import Change, side_by_side, summary
from bn_ablate.results import ResultsError
from tests.synthetic import write_results

TABLE: dict[str, Any] = {
    "name": "twice",
    "seeds": 10,
    "axes": {"placement": ["none", "pre"]},
    "hypotheses": [
        {
            "id": "better",
            "kind": "contrast",
            "statement": "BN | better",
            "metric": "final_test_accuracy",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
            "alternative": "greater",
        }
    ],
}


def results(folder: Path, gain: float, **changes: Any) -> Path:
    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"final_test_accuracy": 0.8 + 0.001 * seed + (gain if levels["placement"] == "pre" else 0.0)}

    write_claims(write_results(folder, TABLE | changes, change=change))
    return folder


def test_the_same_results_differ_in_nothing(tmp_path: Path) -> None:
    said = beside(results(tmp_path / "a", 0.05), results(tmp_path / "b", 0.05))
    assert said.changes == []
    assert (said.lanes, said.differing) == (20, 0)
    assert said.numbers > 1000
    assert [pair["overlap"] for pair in said.hypotheses] == [True]
    assert "0 have another verdict" in summary(said)


def test_another_verdict_and_its_reasons_are_reported(tmp_path: Path) -> None:
    a, b = results(tmp_path / "a", 0.05), results(tmp_path / "b", -0.05, train={"steps": 200})
    said = beside(a, b)
    assert Change("study.train.steps", "400", "200") in said.changes
    assert said.lanes == 0
    (row,) = side_by_side(said)[1]
    assert row[0] == "better"
    assert row[1].startswith("+5.00 [+5.00, +5.00] pp")
    assert row[3:] == ["supported", "contradicted", "apart"]
    text = markdown(said)
    assert "1 has another verdict, and 1 has intervals that do not overlap" in text
    assert "| study.train.steps | 400 | 200 |" in text


def test_a_hypothesis_that_one_lacks_is_shown(tmp_path: Path) -> None:
    a, b = results(tmp_path / "a", 0.05), results(tmp_path / "b", 0.05, hypotheses=[])
    assert side_by_side(beside(a, b))[1][0][2:] == ["–", "supported", "–", "–"]


def test_results_without_verdicts_are_refused(tmp_path: Path) -> None:
    write_results(tmp_path / "a", TABLE)
    with pytest.raises(ResultsError, match=r"has no claims.json; `bn-ablate report` writes it"):
        beside(tmp_path / "a", results(tmp_path / "b", 0.05))
