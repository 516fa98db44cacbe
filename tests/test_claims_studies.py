"""The studies of the eight claims: complete, planned as their headers say, and able to be run in seconds."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import bn_ablate as bn
from bn_ablate.analysis.judge.replication import misfits
from bn_ablate.config.published import load_published, published_for
from bn_ablate.plan import quick

ROOT = Path(__file__).resolve().parents[1]
WHY = sorted((ROOT / "configs" / "why").glob("*.toml"))
ATLAS = sorted((ROOT / "configs" / "atlas").glob("*.toml"))
REPLICATIONS = sorted((ROOT / "configs" / "replications").glob("*.toml"))
ALL = [*sorted((ROOT / "configs").glob("*.toml")), *WHY, *REPLICATIONS]
STUDIES = sorted((ROOT / "configs").glob("c[1-8]_*.toml"))


loaded = cache(bn.load_study)


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


@pytest.mark.parametrize("path", WHY, ids=lambda path: path.stem)
def test_a_study_of_which_part_does_it_says_what_it_is(path: Path) -> None:
    text, study = path.read_text(), bn.load_study(path)
    plan = bn.make_plan(study)
    assert study.name == path.stem
    assert "make why " in text
    assert "upported if" in text
    assert "ontradicted if" in text
    assert "written before the first run" in text
    cost = re.search(r"# Cost: (\d+) cells × (\d+) seeds, ([\d,]+) different networks", text)
    assert cost, "the header says what the study costs"
    different = len({lane.id for lane in plan.lanes})
    assert [int(n.replace(",", "")) for n in cost.groups()] == [len(plan.cells), len(plan.seeds), different]
    assert set(study.claims) == {study.claim}
    assert all(hypothesis.claim == study.claim for hypothesis in study.hypotheses)


@pytest.mark.parametrize("path", ATLAS, ids=lambda path: path.stem)
def test_a_study_of_the_atlas_asks_what_its_claim_asks(path: Path) -> None:
    """The same primary hypotheses, on another data set or with more examples; and all cells that they need."""
    text, study = path.read_text(), loaded(path)
    plan = bn.make_plan(study)
    claim, data, n_train = study.name.split("_")
    assert (study.name, study.data.name, study.data.n_train) == (path.stem, data, int(n_train))
    assert "make atlas " in text
    cost = re.search(r"# Cost: (\d+) cells × (\d+) seeds, (\d+) different networks", text)
    assert cost, "the header says what the study costs"
    assert [int(n) for n in cost.groups()] == [len(plan.cells), len(plan.seeds), plan.n_lanes]
    whole = loaded(next(file for file in STUDIES if file.stem.startswith(claim)))
    asked = {hypothesis.id: hypothesis for hypothesis in whole.hypotheses if hypothesis.primary}
    assert {hypothesis.id for hypothesis in study.hypotheses} == {name for name in asked if ".cnn." not in name}
    assert all(hypothesis == asked[hypothesis.id] for hypothesis in study.hypotheses)


@pytest.mark.parametrize("path", REPLICATIONS, ids=lambda path: path.stem)
def test_what_was_published_is_of_cells_of_the_replication(path: Path) -> None:
    study = loaded(path)
    table = load_published(published_for(study.name))
    assert study.name == path.stem
    assert misfits(table, study, bn.make_plan(study).cells) == []


def of_place(place: str) -> list[Path]:
    return [path for path in ATLAS if path.stem.endswith(place)]


PLACES = ("digits_300", "mnist_300", "mnist_5000")


@pytest.mark.parametrize("paths", [STUDIES, WHY, *map(of_place, PLACES)], ids=["claims", "why", *PLACES])
def test_seeds_are_enough_for_all_of_them_together(paths: list[Path]) -> None:
    """The smallest p of a sign-flip test, 2/2ⁿ, must clear Holm over the primary hypotheses of all studies."""
    studies = [loaded(path) for path in paths]
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


def read_back(study: bn.Study) -> bn.Study:
    """`study` as its manifest says it, and as whoever opens its results reads it."""
    return bn.build_study(json.loads(study.model_dump_json()))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_study_is_planned_in_both_forms_and_read_back_as_it_was(path: Path) -> None:
    study = bn.load_study(path)
    for form in (study, quick(study)):
        assert read_back(form) == form
        assert bn.make_plan(read_back(form)) == bn.make_plan(form)


def contrast(name: str, a: dict[str, Any], b: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": name, "kind": "contrast", "statement": "s", "metric": "gap", "a": a, "b": b} | more


DEEP = {
    "name": "deep",
    "train": {"warmup_steps": 50, "schedule": "step", "milestones": [200, 0.75]},
    "axes": {"steps": [100, 200], "depth": [2, 4, 8], "width": [8, 16, 32], "placement": ["none", "pre"]},
    "exclude": [
        {"depth": [2], "width": [8, 16, 32]},
        {"depth": [4, 2], "width": 32, "placement": "pre"},
        {"width": 8, "placement": ["pre", "none"], "steps": 100},
        {"depth": 8, "placement": "pre", "steps": [200, 100]},
        {"depth": 2, "steps": [100, 200]},
    ],
    "hypotheses": [
        contrast("kept", {"placement": "pre", "depth": 4}, {"placement": "none", "depth": [2, 4]}),
        contrast("by_width", {"width": 8}, {"width": 16}),
        contrast("narrowed", {"width": [8, 16, 32], "placement": "pre"}, {"width": [8, 32], "placement": "none"}),
        contrast("by_lost_width", {"width": 8}, {"width": 32}),
        contrast("by_lost_depth", {"depth": [2]}, {"depth": 4}),
        contrast("by_steps", {"steps": 100}, {"steps": 200}),
        contrast("over_steps", {"placement": "pre"}, {"placement": "none"}, select={"axis": "steps"}),
        contrast("over_width", {"placement": "pre", "depth": 4}, {"placement": "none"}, select={"axis": "width"}),
        {"id": "slope", "kind": "slope", "statement": "s", "metric": "gap", "axis": "steps", "a": {}},
        {"id": "trend", "kind": "slope", "statement": "s", "metric": "gap", "axis": "width", "a": {"depth": 4}},
    ],
}


def test_a_quick_study_speaks_of_what_it_has_and_of_nothing_else() -> None:
    """Depth 2 has no cells, so 4 and 8 are the first that have; a width is left out at some of the steps only."""
    short = quick(bn.build_study(DEEP))
    assert short.axes == {"depth": (4, 8), "width": (8, 16), "placement": ("none", "pre")}
    assert (short.train.steps, short.train.warmup_steps) == (12, 6)
    assert (short.train.milestones, short.train.drops) == ((0.5, 0.75), (6, 9))
    assert short.exclude == ({"depth": [8], "placement": ["pre"]},)
    kept = {hypothesis.id: hypothesis for hypothesis in short.hypotheses}
    assert list(kept) == ["kept", "by_width", "narrowed", "over_width", "trend"]
    assert kept["kept"].sides == {"a": {"placement": "pre", "depth": 4}, "b": {"placement": "none", "depth": [4]}}
    assert kept["narrowed"].sides["b"] == {"width": [8], "placement": "none"}
    assert read_back(short) == short
    assert len(bn.make_plan(short).cells) == 6


@pytest.mark.parametrize("quickly", [True, False])
def test_make_claims_judges_the_folders_that_its_runs_fill(quickly: bool) -> None:
    words = ["make", "-n", "claims", "RESULTS=here", *(["ARGS=--quick"] if quickly else [])]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(words, cwd=ROOT, env=alone, capture_output=True, text=True, check=True, timeout=60).stdout
    (judging,) = (line for line in said.splitlines() if "bn-ablate claims" in line)
    studies = [bn.load_study(path) for path in STUDIES]
    names = [(quick(study) if quickly else study).name for study in studies]
    assert re.findall(r'"here/(.*?)"', judging.partition("--output")[0]) == names
    assert len(re.findall(r"bn-ablate run .* --quick$" if quickly else "bn-ablate run .*[^k]$", said, re.M)) == 8


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
