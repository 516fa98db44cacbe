"""The studies of the eight claims: complete, planned as their headers say, and able to be run in seconds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.plan import quick

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted((ROOT / "configs").glob("c[1-8]_*.toml"))


def test_there_is_a_study_of_every_claim() -> None:
    assert [bn.load_study(path).claim for path in STUDIES] == [f"C{i}" for i in range(1, 9)]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_says_what_it_is(path: Path) -> None:
    text, study = path.read_text(), bn.load_study(path)
    plan = bn.make_plan(study)
    number = study.claim[1]
    assert study.name == path.stem
    assert f"make c{number} " in text
    assert "Supported if" in text
    assert "ontradicted if" in text
    assert "written before the first run" in text
    cost = re.search(r"# Cost: (\d+) cells × (\d+) seeds = (\d+) networks", text)
    assert cost, "the header says what the study costs"
    assert [int(n) for n in cost.groups()] == [len(plan.cells), len(plan.seeds), plan.n_lanes]
    assert all(hypothesis.claim == study.claim for hypothesis in study.hypotheses)
    assert any(hypothesis.primary for hypothesis in study.hypotheses)


def test_seeds_are_enough_for_all_claims_together() -> None:
    """The smallest p of a sign-flip test, 2/2ⁿ, must clear Holm over the primary hypotheses of all studies."""
    studies = [bn.load_study(path) for path in STUDIES]
    family = sum(hypothesis.primary for study in studies for hypothesis in study.hypotheses)
    assert all(2.0 ** (1 - len(study.seed_list)) * family < 0.05 for study in studies)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_quick_study_is_small_and_keeps_what_it_can(path: Path) -> None:
    study = bn.load_study(path)
    short = quick(study)
    plan = bn.make_plan(short)
    assert short.name == f"{study.name}-quick"
    assert (len(plan.seeds), short.train.steps) == (2, 12)
    assert len(plan.groups) <= 2
    kept = {hypothesis.id for hypothesis in short.hypotheses}
    assert kept
    assert kept <= {hypothesis.id for hypothesis in study.hypotheses}
    for hypothesis in short.hypotheses:
        for rule in hypothesis.sides.values():
            assert any(cell.matches(rule) for cell in plan.cells)


def test_a_quick_study_drops_hypotheses_that_lose_their_cells() -> None:
    table = {
        "name": "deep",
        "axes": {"depth": [2, 4, 8]},
        "hypotheses": [
            {"id": "near", "kind": "contrast", "statement": "s", "metric": "gap", "a": {"depth": 2}, "b": {"depth": 4}},
            {"id": "far", "kind": "contrast", "statement": "s", "metric": "gap", "a": {"depth": 2}, "b": {"depth": 8}},
        ],
    }
    short = quick(bn.build_study(table))
    assert short.axes == {"depth": (2, 4)}
    assert [hypothesis.id for hypothesis in short.hypotheses] == ["near"]
