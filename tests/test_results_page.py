"""The page of results: what it takes from stored results, and where it puts it."""

from __future__ import annotations

import re
from pathlib import Path

import atlas_page
import pytest
import replications_page
import results_page

import bn_ablate as bn
from bn_ablate.analysis import replicate, write_claims
from bn_ablate.analysis.judge.replication import counts
from bn_ablate.analysis.judge.shown import texts
from bn_ablate.analysis.pages.replications import lines
from bn_ablate.results import Results, open_results
from tests.synthetic import ABLATION, write_results

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Made-up results of a large study, with its verdicts."""
    results = write_results(tmp_path_factory.mktemp("ablation"), ABLATION | {"seeds": 5})
    write_claims(results)
    return open_results(results.path)


def test_a_block_replaces_what_stands_between_its_markers() -> None:
    page = "before\n<!-- x:begin -->\nold\n<!-- x:end -->\nafter\n"
    once = results_page.between(page, "x", "new")
    assert once == "before\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\nafter\n"
    assert results_page.between(once, "x", "new") == once
    with pytest.raises(ValueError, match="y:begin"):
        results_page.between(page, "y", "new")


@pytest.mark.parametrize(
    ("name", "studies"),
    [("results", "c[1-8]_*.toml"), ("why", "why/*.toml"), ("replications", "replications/*.toml")],
)
def test_the_page_has_a_place_for_every_study(name: str, studies: str) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for study in [path.stem for path in sorted((ROOT / "configs").glob(studies))]:
        assert f"<!-- {study}:begin -->" in page
        assert f"<!-- {study}:end -->" in page


def test_every_number_of_a_study_is_that_of_its_record(ablation: Results) -> None:
    records = ablation.claims
    block = results_page.study_block(ablation)
    rows = [line for line in block.splitlines() if line.startswith("| ")]
    assert len(records) == len(ABLATION["hypotheses"])
    for record in records:
        (row,) = [row for row in rows if row.startswith(f"| {record['statement']} |")]
        shown = texts(record)
        assert f"{shown.low} … {shown.high}" in row
        assert row.endswith(f"| {record['verdict']} |")


def test_rows_of_one_hypothesis_stand_under_what_they_state_in_common(ablation: Results) -> None:
    record = ablation.claims[0]
    levels = {"tanh": "tanh", "hard_tanh": "hard tanh"}
    records = [record | {"id": f"h.{level}", "statement": f"BN helps (activation {level})"} for level in levels]
    rows = results_page.table(records).splitlines()[2:]
    assert rows[0].startswith("| **BN helps** |")
    assert [row.split(" | ")[0] for row in rows[1:]] == [f"| – {name}" for name in levels.values()]
    assert all(f"{texts(record).low} … {texts(record).high}" in row for row in rows[1:])


def test_the_page_of_the_atlas_has_its_numbers_from_the_results(ablation: Results, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "atlas.md").read_text(encoding="utf-8")
    page = tmp_path / "atlas.md"
    page.write_text(re.sub(r"(:begin -->\n).*?(\n<!-- )", r"\1\2", text, flags=re.DOTALL), encoding="utf-8")
    (tmp_path / "figures").mkdir()
    assert atlas_page.main([str(ablation.path), "--page", str(page)]) == 0
    written = page.read_text(encoding="utf-8")
    for record in ablation.claims:
        shown = texts(record)
        assert f"{shown.estimate} [{shown.low}, {shown.high}] {shown.unit}" in written
    assert "| claim | digits, 300 examples, MLP |" in written
    assert "| `bn-ablate run ablation` | 360 | 0 |" in written
    assert "No hypothesis holds at one place and is contradicted at another." in written
    assert (tmp_path / "figures" / "atlas.png").is_file()


def test_a_replication_says_how_it_was_run_and_what_came_of_it(tmp_path: Path) -> None:
    """On made-up numbers of the study's own shape."""
    study = bn.load_study("p2_garbin_mlp_5", ["seeds=3", "data.name=digits", "data.split=seeded", "data.n_train=300"])
    results = write_results(tmp_path / "made", study.model_dump(mode="json"))
    block = replications_page.block(results)
    assert "`bn-ablate run p2_garbin_mlp_5`: 12 networks (0 diverged), 2 programs; trained in 1:31" in block
    said = replicate(results)
    assert all(f"| {line[-1]} |" in block for line in lines(said))
    assert "- bn-0.1: γ in both BN here, in the last BN alone there" in block
    assert sum(counts(said).values()) == 4
