"""Whole by its checksums and wrong by its content: refused wherever it is read, with the version that wrote it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bn_ablate.analysis import write_board, write_combined_claims, write_paper
from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.results import ResultsError, Store, open_results, seal, verify
from tests.results.made_up import finished, listing, manifest_of, plan_of, published, record, reseal, stored, tables_of


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "made-up"
    published(path)
    return path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of a complete results folder, to be changed."""
    return Path(shutil.copytree(original, tmp_path / "made-up"))


def rewrite(folder: Path, name: str, change: str) -> None:
    """Change the content of a table, and seal it."""
    file = folder / name
    table = pl.read_parquet(file)
    match change:
        case "no column":
            table = table.drop("lane_id")
        case "no measure":
            table = table.drop(table.columns[-1])
        case "another column":
            table = table.with_columns(more=1)
        case "another type":
            table = table.with_columns(pl.col(table.columns[-1]).cast(pl.String))
        case "a row twice":
            table = pl.concat([table, table[:1]])
        case "no id":
            table = table.with_columns(lane_id=pl.when(pl.col("lane_id") == table["lane_id"][0]).then("lane_id"))
    if change == "no table":
        file.write_bytes(b"PAR1 and no more")
    else:
        table.write_parquet(file)
    reseal(folder, file)


CHANGES = ("no column", "no measure", "another column", "another type", "a row twice", "no id", "no table")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("table", ["lanes", "history"])
def test_a_sealed_table_of_other_content_is_refused(folder: Path, table: str, change: str) -> None:
    rewrite(folder, f"{table}.parquet", change)
    results = open_results(folder)
    with pytest.raises(ResultsError, match=rf"{table}\.parquet: (has|cannot be read).*`bn-ablate run` writes it again"):
        getattr(results, table)
    (problem,) = verify(folder)
    assert problem.startswith(f"{table}.parquet: ")
    if change != "no table":
        assert f"; written by {WRITTEN_BY};" in problem


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("table", ["lanes", "layers"])
def test_a_shard_of_other_content_is_refused_by_run_and_verify(folder: Path, table: str, change: str) -> None:
    name = f"shards/shard-1/{table}.parquet"
    rewrite(folder, name, change)
    remedy = f"delete the folder {folder}/shards/shard-1 and run again: only its lanes are trained anew"
    with pytest.raises(ResultsError, match=rf"{name}: .*written by {WRITTEN_BY}; {remedy}"):
        Store(folder).publish(plan_of(), manifest_of(plan_of()))
    (problem,) = verify(folder)
    assert problem.startswith(f"{name}: ")


def test_a_lane_that_has_no_rows_is_refused(folder: Path) -> None:
    file = folder / "shards" / "shard-0" / "history.parquet"
    table = pl.read_parquet(file)
    table.filter(pl.col("lane_id") != table["lane_id"][0]).write_parquet(file)
    reseal(folder, file)
    with pytest.raises(ResultsError, match=f"has no rows of the lane {table['lane_id'][0]}"):
        Store(folder).publish(plan_of(), manifest_of(plan_of()))


def test_a_table_that_is_not_what_the_shards_hold_is_found(folder: Path) -> None:
    file = folder / "lanes.parquet"
    pl.read_parquet(file).with_columns(final_test_loss=pl.lit(0.0)).write_parquet(file)
    reseal(folder, file)
    assert verify(folder) == [
        "lanes.parquet: is not what the shards hold; delete it, and `bn-ablate run` writes it again"
    ]


@pytest.mark.parametrize(
    ("content", "telling"),
    [
        (
            '{"format": 2, "written_by": "bn_ablate 9.9"}',
            "has format 2, written by bn_ablate 9.9, and this version reads 1",
        ),
        ('{"format": 1}', "provenance: Field required"),
        (
            '{"format": 1, "provenance": {"code": 7}, "layout": {}, "environment": {}}',
            "provenance.code: Input should be",
        ),
        ("[]", "is no table"),
    ],
)
def test_a_record_that_is_none_is_refused(folder: Path, content: str, telling: str) -> None:
    file = folder / "shards" / "shard-0" / "provenance.json"
    file.write_text(content)
    reseal(folder, file)
    with pytest.raises(ResultsError) as caught:
        Store(folder).held()
    assert str(file) in str(caught.value)
    assert telling in str(caught.value)


@pytest.mark.parametrize(
    ("change", "telling"),
    [
        ({"format": 2}, "has format 2, written by bn_ablate .*, and this version reads 1"),
        ({"format": "one", "written_by": "bn_ablate 9.9"}, "has format 'one', written by bn_ablate 9.9"),
        ({"format": None}, "has format None"),
        ({"seeds": 3}, "seeds: Input should be a valid list; written by bn_ablate"),
        ({"packages": ["jax"]}, "packages: Input should be a valid dictionary"),
        ({"data": {"sha256": 0}}, "data.sha256: Input should be a valid string"),
        ({"files": {"lanes.parquet": None}}, "files.lanes.parquet: Input should be a valid string"),
        ({"origins": [{"lanes": 3}]}, "origins.0.kept: Field required"),
        ({"timing": {"compile_seconds": "long"}}, "timing.compile_seconds: Input should be a valid number"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_manifest_of_other_content_is_refused(folder: Path, change: dict[str, Any], telling: str) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    for read in (verify, open_results, seal):
        with pytest.raises(ResultsError, match=telling):
            read(folder)


def test_data_are_held_to_the_manifest(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = manifest_of(plan_of())["data"]
    file, manifest = folder / "manifest.json", json.loads((folder / "manifest.json").read_text())

    def problem(data: dict[str, Any]) -> str:
        file.write_text(json.dumps(manifest | {"data": data}))
        (found,) = verify(folder)
        return found

    assert verify(folder) == []
    assert "names data with SHA-256 0000" in problem(said | {"sha256": "0" * 64})
    assert "says nothing of the data's sha256" in problem({"name": "digits"})
    assert "names the data set 'mnist', and its study 'digits'" in problem(said | {"name": "mnist"})
    monkeypatch.setenv("BN_ABLATE_DATA_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "empty"))
    assert problem(said) == (
        "data set digits: is not on this machine, to be checked; `bn-ablate data digits` prepares it"
    )


def test_data_that_were_replaced_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "manifest.json"
    of_others = manifest_of(plan_of())["data"]["sha256"][::-1]
    for json_file in (file, *folder.glob("shards/*/provenance.json")):
        json_file.write_text(json_file.read_text().replace(of_others[::-1], of_others))
        if json_file != file:
            reseal(folder, json_file)
    (problem,) = verify(folder)
    assert problem.startswith("data set digits: what lies in ")
    assert problem.endswith(f"has SHA-256 {of_others[::-1]}, and the results are of {of_others}")


def test_what_systems_leave_in_folders_is_nobodys_fault(folder: Path) -> None:
    before = sorted(listing(folder))
    litter = ("shards/.DS_Store", ".DS_Store", "shards/shard-0/._lanes.parquet", "Thumbs.db", "figures/desktop.ini")
    for name in litter:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert verify(folder) == []
    store = Store(folder)
    store.open()
    assert len(finished(store)) == 8
    store.publish(plan_of(), manifest_of(plan_of()))
    assert sorted(json.loads((folder / "manifest.json").read_text())["files"]) == [
        name for name in before if name != "manifest.json"
    ]


def test_an_empty_folder_among_the_shards_is_none(folder: Path) -> None:
    """It passes `verify`, does not stop a run, and does not keep a shard of its name from being stored."""
    shutil.rmtree(folder / "shards" / "shard-1")
    (folder / "shards" / "shard-1").mkdir()
    store = Store(folder)
    assert len(finished(store)) == 4
    store.open()
    store.add_shard("shard-1", tables_of(plan_of().lanes[1::2]), record())
    store.publish(plan_of(), manifest_of(plan_of()))
    (folder / "shards" / "more").mkdir()
    assert verify(folder) == []


@pytest.mark.parametrize(("mask", "file", "directory"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_the_umask_is_respected(tmp_path: Path, mask: int, file: int, directory: int) -> None:
    before = os.umask(mask)
    try:
        stored(tmp_path / "study", plan_of()).publish(plan_of(), manifest_of(plan_of()))
    finally:
        os.umask(before)
    made = list((tmp_path / "study").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {file}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {directory}


def test_nothing_is_written_into_a_sealed_folder(folder: Path) -> None:
    before = listing(folder)
    for write in (
        lambda: write_combined_claims([folder], folder / "claims.json"),
        lambda: write_board([folder], {}, folder / "tables" / "claims.html"),
        lambda: write_paper([folder], folder),
        lambda: write_paper([folder], folder / "paper"),
    ):
        with pytest.raises(ResultsError, match=rf"lies in {folder}, a results folder, whose files are sealed"):
            write()
    assert listing(folder) == before
