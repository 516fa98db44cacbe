"""The atlas: claims over made-up results at several places, copies of the same lanes, and what is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bn_ablate.analysis import atlas
from bn_ablate.analysis.judge.judging import claims_text, judge
from bn_ablate.analysis.judge.places import same_lanes
from bn_ablate.analysis.judge.stats import holm
from bn_ablate.cli.main import main
from bn_ablate.results import Results, ResultsError, open_results, seal
from bn_ablate.results.files import write_text
from tests.synthetic import write_results

SIDES = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
CONTRAST = {"kind": "contrast", "metric": "final_test_accuracy", "primary": True, **SIDES}


def study(name: str, **data: Any) -> dict[str, Any]:
    """A study of C7 at the data given: two hypotheses of which one holds where the other is contradicted."""
    return {
        "name": name,
        "seeds": 8,
        "data": {"n_train": 300, "n_validation": 300} | data,
        "train": {"steps": 100},
        "axes": {"placement": ["none", "pre"]},
        "hypotheses": [
            CONTRAST | {"id": "up", "claim": "C7", "statement": "BN is better.", "alternative": "greater"},
            CONTRAST | {"id": "down", "claim": "C7", "statement": "BN is worse.", "alternative": "less"},
        ],
    }


def gains(gain: float) -> Any:
    """What BN adds to the accuracy, with a little noise."""

    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        noise = (seed % 4 - 1.5) / 1000
        return row | {"final_test_accuracy": 0.9 + (gain + noise if levels["placement"] == "pre" else 0.0)}

    return change


def judged(results: Results) -> None:
    """Write the verdicts, from few resamples."""
    records = judge(results.study, results.lanes, resamples=99)
    write_text(results.path / "claims.json", claims_text(results, records))
    seal(results.path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study of 300 examples in which BN helps, one of 600 in which it hurts; the first from elsewhere, and again."""
    root = tmp_path_factory.mktemp("made")
    made = {"few": write_results(root / "few", study("few"), change=gains(0.02))}
    made["many"] = write_results(root / "many", study("many", n_train=600), change=gains(-0.02))
    made["again"] = write_results(root / "again", study("few"), change=gains(0.021))
    for results in made.values():
        judged(results)
    shutil.copytree(root / "few", root / "copy")
    (root / "few.json").write_text("{}")
    return {name: root / name for name in ("few", "many", "again", "copy", "few.json")}


def test_places_are_families_of_their_own_and_what_differs_is_named(folders: dict[str, Path]) -> None:
    said = atlas([folders["many"], folders["few"], folders["few.json"]])
    assert [place["label"] for place in said["places"]] == ["digits, 300 examples, MLP", "digits, 600 examples, MLP"]
    assert [place["family"] for place in said["places"]] == [2, 2]
    assert [place["claims"][0]["counts"] for place in said["places"]] == [{"supported": 1, "contradicted": 1}] * 2
    few, many = (place["label"] for place in said["places"])
    assert said["differ"] == [
        {"claim": "C7", "id": "up", "verdicts": {few: "supported", many: "contradicted"}},
        {"claim": "C7", "id": "down", "verdicts": {few: "contradicted", many: "supported"}},
    ]
    stored = {record["id"]: record for record in open_results(folders["few"]).claims}
    here = {record["id"]: record for record in said["hypotheses"] if record["place"] == few}
    assert [here[name]["p_adjusted"] for name in stored] == holm([record["p"] for record in stored.values()])
    assert all(here[name]["estimate"] == record["estimate"] for name, record in stored.items())
    assert {(record["depth"], record["width"]) for record in said["hypotheses"]} == {("3", "128")}
    assert (said["again"], said["left_out"], said["caveats"]) == ([], [], [])


def test_lanes_that_two_folders_hold_are_compared(folders: dict[str, Path]) -> None:
    said = atlas([folders["few"], folders["copy"], folders["again"]])
    assert [place["label"].removeprefix("digits, 300 examples, MLP") for place in said["places"]] == [
        "",
        " (2)",
        " (3)",
    ]
    assert [place["family"] for place in said["places"]] == [2, 2, 2]
    equal, *apart = said["again"]
    assert (equal["lanes"], equal["differing"]) == (16, 0)
    assert same_lanes(equal).endswith(f"the same lanes: all {equal['values']:,} numbers are equal")
    for pair in apart:
        assert (pair["lanes"], pair["differing"]) == (16, 8)  # the accuracies with BN
        assert pair["most_accuracy"] == pytest.approx(0.001)
        assert same_lanes(pair).endswith(f"8 of {pair['values']:,} numbers differ; test accuracies by at most 0.10 pp")


def test_a_record_that_names_a_network_or_a_number_of_examples_has_its_place(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "n_train": [300, 500], "width": [8, 16]}
    asked = CONTRAST | {"id": "up", "claim": "C7", "statement": "BN is better.", "each": ["n_train"]}
    table = study("sizes") | {"axes": axes, "hypotheses": [asked]}
    results = write_results(tmp_path / "sizes", table, change=gains(0.02))
    judged(results)
    said = atlas([tmp_path])
    assert [(place["n_train"], place["family"]) for place in said["places"]] == [("300", 1), ("500", 1)]
    assert {record["width"] for record in said["hypotheses"]} == {"8–16"}


def test_what_says_nothing_is_left_out_and_nothing_at_all_is_an_error(folders: dict[str, Path], tmp_path: Path) -> None:
    write_results(tmp_path / "unjudged", study("unjudged"))
    results = write_results(tmp_path / "claimless", study("claimless") | {"hypotheses": []})
    judged(results)
    quick = shutil.copytree(folders["few"], tmp_path / "quick")
    manifest = json.loads((quick / "manifest.json").read_text())
    (quick / "manifest.json").write_text(json.dumps(manifest | {"quick": True}))
    said = atlas([folders["few"], tmp_path])
    assert len(said["places"]) == 1
    assert [sentence.partition(": ")[2][:24] for sentence in said["left_out"]] == [
        "has no hypothesis of a c",
        "this is a --quick run, o",
        "has no claims.json; `bn-",
    ]
    with pytest.raises(ResultsError, match=r"no verdict on a claim .*; .*unjudged: has no claims.json"):
        atlas([tmp_path / "unjudged"])
    with pytest.raises(ResultsError, match="nowhere: holds no results"):
        atlas([tmp_path / "nowhere"])
    (quick / "lanes.parquet").write_bytes(b"damaged")
    (quick / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultsError, match="its content has changed since it was written"):
        atlas([folders["few"], quick])


def test_two_claims_of_one_name_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    words = {"says": "helps", "supported_if": "it is better", "contradicted_if": "it is worse"}
    for name, says in (("one", "helps"), ("other", "hurts")):
        table = study(name) | {"claims": {"X1": words | {"says": says}}}
        table["hypotheses"] = [asked | {"claim": "X1"} for asked in table["hypotheses"][:1]]
        judged(write_results(tmp_path / name, table))
    with pytest.raises(ResultsError, match="other: says another thing of its claim 'X1'"):
        atlas([tmp_path])
    assert atlas([folders["few"], tmp_path / "one"])["places"][0]["family"] == 3


def test_the_command_writes_a_picture_and_tables(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    given = [str(folders[name]) for name in ("few", "many", "few.json")]
    assert main(["atlas", *given, "--output", str(tmp_path / "map.json")]) == 0
    shown = capsys.readouterr().out
    assert "mixed (1 supported, 1 contradicted)" in shown
    assert "C7 up: digits, 300 examples, MLP: supported; digits, 600 examples, MLP: contradicted" in shown
    said = json.loads((tmp_path / "map.json").read_text())
    table = pl.read_csv(tmp_path / "map.csv")
    assert table.height == len(said["hypotheses"]) == 4
    assert table["estimate"].to_list() == pytest.approx([record["estimate"] for record in said["hypotheses"]])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "map.svg").read_bytes()[:400]
    with pytest.raises(SystemExit) as ended:
        main(["atlas"])
    assert ended.value.code == 2
    assert main(["atlas", given[0], "--output", str(folders["few"] / "map.json")]) == 1
    assert "a results folder, whose files are sealed" in capsys.readouterr().err
