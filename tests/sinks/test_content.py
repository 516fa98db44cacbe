from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path

import polars as pl
import pytest

from bn_ablate.results import Results
from bn_ablate.results.recording.columns import table_schemas
from bn_ablate.sinks import content
from bn_ablate.sinks.content import RunContent, history_points, lane_contents, study_content, thinned
from bn_ablate.sinks.record import SentRecord


@pytest.mark.parametrize("n", [0, 1, 2, 99, 100, 101, 250, 10_001])
def test_thinned_steps_are_spread_evenly_from_the_first_to_the_last(n: int) -> None:
    steps = list(range(0, 7 * n, 7))
    kept = thinned(steps, 100)
    assert len(kept) == min(n, 100)
    assert kept[:1] == steps[:1]
    assert kept[-1:] == steps[-1:]
    gaps = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 7


def test_long_histories_keep_the_layers_of_the_points_they_keep() -> None:
    schemas = table_schemas()
    history = pl.DataFrame({"step": range(301)}).with_columns(
        train_loss=1.0 / (pl.col("step") + 1), batch_loss=math.nan
    )
    layers = pl.DataFrame({"step": [0, 1, 300], "layer": [1, 1, 1], "saturated": [0.25, 0.5, math.inf]})
    points = history_points(*(_complete(t, schemas[name]) for t, name in ((history, "history"), (layers, "layers"))))
    assert len(points) == 100
    assert points[0] == {"step": 0, "train_loss": 1.0, "layers/1/saturated": 0.25}
    assert points[-1] == {"step": 300, "train_loss": 1 / 301}
    assert not any("layers/1/saturated" in point for point in points[1:])


def test_a_hash_changes_with_whatever_a_run_shows_and_with_nothing_else(results: Results, tmp_path: Path) -> None:
    study = study_content(results)
    lanes = list(lane_contents(results, set(results.lanes["lane_id"])))
    assert len({study.sha256, *(lane.sha256 for lane in lanes)}) == 9
    listed = results.manifest["files"] | {"gone": "0" * 64}
    assert study_content(Results(results.path, results.manifest | {"files": listed})).sha256 == study.sha256
    assert study_content(Results(results.path, results.manifest | {"status": "running"})).sha256 != study.sha256

    page = tmp_path / "report.html"
    shown = []
    for text in ("one", "two"):
        page.write_text(text)
        shown.append(dataclasses.replace(study, pages={"report": page}).sha256)
    assert len({study.sha256, *shown}) == 3


def test_a_study_that_is_not_complete_or_a_quick_one_says_so(results: Results) -> None:
    whole = study_content(results)
    assert "caveat" not in whole.summary
    told = {
        "quick": ({"quick": True}, "this is a --quick run, of 2 seeds and a few steps"),
        "incomplete": ({"status": "interrupted"}, "the run is not complete: its status is 'interrupted'"),
    }
    for tag, (changes, sentence) in told.items():
        study = study_content(Results(results.path, results.manifest | changes))
        assert sentence in study.summary["caveat"]
        assert study.notes.startswith(f"Caution: {sentence}")
        assert study.notes.endswith(whole.notes)
        assert set(study.tags) == {*whole.tags, tag}


def test_the_artifact_holds_every_sealed_file_and_the_manifest_as_metadata(results: Results) -> None:
    (results.path / "wandb").mkdir()
    (results.path / "wandb" / "sent.json").write_text("{}")
    artifact = study_content(results).artifact
    assert artifact is not None
    assert set(artifact.files) == {"manifest.json", *results.manifest["files"]}
    assert {"lanes.parquet", "history.parquet", "shards/0/lanes.parquet"} < set(artifact.files)
    assert artifact.metadata == {key: value for key, value in results.manifest.items() if key != "files"}
    changed = results.path / "shards" / "0" / "checksums.json"
    before = study_content(results).sha256
    changed.write_text(changed.read_text() + " ")
    assert study_content(results).sha256 != before


def test_lanes_are_read_some_at_a_time(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = results.lanes["lane_id"].to_list()
    whole = list(lane_contents(results, ids))
    assert [lane.config["lane_id"] for lane in whole] == ids
    for at_once in (1, 3):
        monkeypatch.setattr(content, "LANES_AT_ONCE", at_once)
        assert [lane.sha256 for lane in lane_contents(results, ids)] == [lane.sha256 for lane in whole]
    some = ids[1::3]
    assert [lane.sha256 for lane in lane_contents(results, some)] == [lane.sha256 for lane in whole[1::3]]


def test_lanes_come_in_the_stores_order_and_only_those_asked_for(results: Results) -> None:
    ids = results.lanes["lane_id"].to_list()
    asked = {ids[5], ids[2]}
    contents: list[RunContent] = list(lane_contents(results, asked))
    assert [lane.config["lane_id"] for lane in contents] == [ids[2], ids[5]]


def test_the_record_knows_runs_by_destination_and_survives_damage(tmp_path: Path) -> None:
    file = tmp_path / "wandb" / "sent.json"
    here = SentRecord(file, "here")
    here.add("a", "1" * 64, "folder")
    assert not file.exists()
    here.save()
    assert SentRecord(file, "here").holds("a", "1" * 64)
    assert SentRecord(file, "here").folder("a") == "folder"
    assert not SentRecord(file, "here").holds("a", "2" * 64)
    assert not SentRecord(file, "there").holds("a", "1" * 64)

    there = SentRecord(file, "there")
    there.add("b", "2" * 64)
    there.save()
    assert set(json.loads(file.read_text())) == {"here", "there"}
    for damaged in ("", "[]", '{"here": []}', '{"here": {"a": 1}}', "\udcff"):
        file.write_text(damaged, errors="surrogateescape")
        assert SentRecord(file, "here").folder("a") == ""


def _complete(table: pl.DataFrame, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in table.columns]
    return table.with_columns(missing)
