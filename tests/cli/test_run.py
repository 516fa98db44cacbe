"""A tiny study run by the command line, end to end: what it prints, what it leaves behind, and what is done again."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bn_ablate.config import load_study
from bn_ablate.data import prepare
from bn_ablate.results import Store, open_results, verify
from bn_ablate.runs import run as study
from tests.cli.command_line import Bn, run
from tests.disk import Disk
from tests.results.made_up import flip, listing, reseal


def test_a_run_tells_what_it_did_and_where_it_is(original: Path) -> None:
    out = (original / "out").read_text()
    folder = original / "results" / "tiny"
    for telling in (
        "tiny  A [bold]tiny[/] study\n",
        "2 cells × 2 seeds = 4 lanes, 4 steps each; 1 compiled program",
        "trained in 0:0",
        "Test accuracy, % (mean ± SD over 2 seeds)",
        "A higher rate trains faster [/]",
        "inconclusive",
        f"report   {folder / 'report.html'}\n",
        f"results  {folder} (4 lanes; manifest.json, *.parquet, claims.json)\n",
    ):
        assert telling in out
    assert (folder / "report.html").is_file()
    assert verify(folder) == []


def test_a_run_leaves_the_whole_contract(original: Path) -> None:
    done = open_results(original / "results" / "tiny")
    assert done.lanes.select("learning_rate", "seed", "status").rows() == [
        (rate, seed, "ok") for rate in (0.01, 0.1) for seed in (0, 1)
    ]
    assert done.history.group_by("lane_id").agg("step")["step"].to_list() == [[0, 2, 4]] * 4
    assert done.layers.height == 4 * 3
    assert done.histograms.height == 4 * 2 * 2
    assert set(done.histograms["counts"].list.sum()) == {60 * 8}
    (claim,) = done.claims
    assert claim["id"] == "faster"
    manifest = done.manifest
    assert manifest["status"] == "complete"
    assert manifest["plan"] == {"axes": {"learning_rate": [0.01, 0.1]}, "cells": 2, "lanes": 4, "programs": 1}
    assert manifest["lanes"] == {"planned": 4, "finished": 4, "diverged": 0}
    assert manifest["data"]["sizes"] == {"train": 60, "validation": 100, "test": 100}
    assert manifest["timing"]["lane_steps"] == 16
    assert manifest["programs"] == 1


def test_a_second_run_trains_nothing_and_changes_no_byte(bn: Bn, config: Path, results: Path) -> None:
    before = listing(results)
    assert "every lane was trained before; nothing to train" in run(bn, config, results)
    after = listing(results)
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []


def test_new_levels_train_new_lanes_only(bn: Bn, config: Path, results: Path) -> None:
    old = open_results(results / "tiny").lanes
    out = run(bn, config, results, "--set", "axes.learning_rate=[1.0, 0.1, 0.5, 0.01]")
    assert "4 cells × 2 seeds = 8 lanes" in out
    after = open_results(results / "tiny")
    assert after.manifest["timing"]["lane_steps"] == 4 * 4
    assert after.lanes["learning_rate"].to_list() == [1.0, 1.0, 0.1, 0.1, 0.5, 0.5, 0.01, 0.01]
    kept = after.lanes.filter(pl.col("lane_id").is_in(old["lane_id"].to_list()))
    assert kept.sort("lane_id").equals(old.sort("lane_id"))
    assert study.run(load_study(config), results).lanes.equals(old)


def test_verify_trains_lanes_once_more(bn: Bn, results: Path) -> None:
    done = bn("verify", results / "tiny", "--rerun", 1)
    assert done.status == 0, done.err
    assert "the same to the bit" in done.out
    assert "1 lanes trained once more; 1 the same to the bit" in done.out
    assert verify(results / "tiny") == []


def test_verify_finds_lanes_that_training_does_not_give(bn: Bn, results: Path) -> None:
    folder = results / "tiny"
    for file in (*folder.glob("shards/*/lanes.parquet"), folder / "lanes.parquet"):
        pl.read_parquet(file).with_columns(pl.col("final_test_accuracy") + 0.5).write_parquet(file)
        reseal(folder, file)
    assert bn("report", folder).status == 0
    done = bn("verify", folder, "--rerun", 1)
    assert done.status == 1
    assert "1 of 1 lanes trained once more end elsewhere" in done.err
    assert bn("verify", folder, "--rerun=-1").status == 2


def test_verify_passes_until_a_bit_is_flipped(bn: Bn, results: Path) -> None:
    folder = results / "tiny"
    assert bn("verify", folder) == (0, f"{folder}: complete, and every file is as it was written\n", "")
    flip(folder / "history.parquet")
    (folder / "report.html").unlink()
    done = bn("verify", folder)
    assert (done.status, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"{folder}: report.html: is missing",
        f"{folder}: history.parquet: its content has changed since it was written",
    ]


def test_verify_finds_a_damaged_data_set(
    bn: Bn, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "data" / "digits" / "1.0.0"
    shutil.copytree(prepare("digits"), copied)
    monkeypatch.setenv("BN_ABLATE_DATA_DIR", str(tmp_path / "data"))
    assert bn("verify", results / "tiny").status == 0
    flip(copied / "arrays" / "images.npy")
    done = bn("verify", results / "tiny")
    assert done.status == 1
    assert f"{copied}/arrays/images.npy is damaged" in done.err


@pytest.mark.parametrize(
    "kind", ["*.parquet", "shards/*/*.parquet", "claims.json", "report.html", "figures/*", "tables/*"]
)
def test_verify_finds_a_flipped_bit_in_every_kind_of_file(bn: Bn, results: Path, kind: str) -> None:
    files = sorted((results / "tiny").glob(kind))
    assert files
    for file in files:
        flip(file, -1)
    said = bn("verify", results / "tiny").err
    for file in files:
        assert f"tiny: {file.relative_to(results / 'tiny')}: its content has changed since it was written" in said


def test_a_damaged_table_stops_the_report_until_a_run_has_mended_it(bn: Bn, config: Path, results: Path) -> None:
    file = results / "tiny" / "history.parquet"
    whole = file.read_bytes()
    flip(file)
    told = f"bn-ablate: {file}: its content has changed since it was written; `bn-ablate run` writes it again\n"
    assert bn("report", file.parent) == (1, "", told)
    assert "nothing to train" in run(bn, config, results)
    assert file.read_bytes() == whole
    assert verify(file.parent) == []


@pytest.mark.parametrize(
    "table", ["lanes", "history", *(pytest.param(name, marks=pytest.mark.slow) for name in ("layers", "histograms"))]
)
def test_any_damaged_table_is_mended(config: Path, results: Path, table: str) -> None:
    file = results / "tiny" / f"{table}.parquet"
    whole = file.read_bytes()
    flip(file)
    study.run(load_study(config), results)
    assert file.read_bytes() == whole


def test_a_damaged_shard_is_reported_and_only_it_is_trained_again(bn: Bn, config: Path, results: Path) -> None:
    whole = (results / "tiny" / "lanes.parquet").read_bytes()
    (shard,) = (results / "tiny" / "shards").iterdir()
    flip(shard / "lanes.parquet")
    done = bn("run", config, "--results", results, "--wandb", "disabled")
    assert done.status == 1
    assert f"delete the folder {shard} and run again: only its lanes are trained anew" in done.err
    shutil.rmtree(shard)
    assert "trained in" in run(bn, config, results)
    assert (results / "tiny" / "lanes.parquet").read_bytes() == whole


def test_the_report_can_be_written_again_and_brackets_in_a_path_are_no_markup(
    bn: Bn, original: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a [bold] b [/] c" / "tiny"
    shutil.copytree(original / "results" / "tiny", folder)
    before = listing(folder)
    for name in ("report.html", "claims.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "figures")
    done = bn("report", folder)
    assert done.status == 0
    assert "A higher rate trains faster [/]" in done.out
    assert listing(folder) == before
    assert f"report   {folder / 'report.html'}\n" in done.out


@pytest.mark.parametrize("beginning", ["~", pytest.param("./~", marks=pytest.mark.slow)])
def test_a_home_that_the_shell_has_left_as_it_is(
    bn: Bn, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beginning: str
) -> None:
    """As in `--results=~/out`; and a folder that is called so. Both are the same place for all who read and write."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ("home" if beginning == "~" else "~")
    shutil.copytree(original / "results", folder / "out")
    shutil.copy(original / "tiny.toml", folder)
    done = bn("run", f"{beginning}/tiny.toml", f"--results={beginning}/out", "--wandb=disabled")
    assert (done.status, done.err) == (0, "")
    assert "nothing to train" in done.out
    assert f"results  {folder / 'out' / 'tiny'} (4 lanes" in done.out
    assert bn("verify", f"{beginning}/out/tiny").status == 0
    assert bn("sweep-config", f"{beginning}/tiny.toml", f"--output={beginning}/sweep.yaml").status == 0
    assert (folder / "sweep.yaml").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder.name]


def test_the_manifest_says_where_the_results_come_from(original: Path) -> None:
    manifest = open_results(original / "results" / "tiny").manifest
    assert manifest["config"]["train"]["steps"] == 4
    assert re.fullmatch("[0-9a-f]{64}", manifest["config_sha256"])
    assert manifest["seeds"] == [0, 1]
    assert manifest["data"]["name"] == "digits"
    assert manifest["packages"].keys() >= {"jax", "flax", "numpy"}
    assert manifest["device"]["platform"] == "cpu"
    assert manifest["strategy"] == "map"
    assert manifest["peak_memory_bytes"] > 10**8


def test_a_full_disk_is_reported_and_the_run_resumes_once_there_is_space(
    bn: Bn, config: Path, results: Path, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is filled when training has ended, and the shard is to be stored."""
    add_shard = Store.add_shard

    def on_a_full_disk(store: Store, name: str, *what: Any) -> None:
        small_disk.fill()
        add_shard(store, name, *what)

    args = ("run", config, "--results", small_disk.path, "--wandb", "disabled")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "add_shard", on_a_full_disk)
        done = bn(*args)
    assert done.status == 1
    assert re.search(r"cannot be written \(.*No space left.*\); what was finished before is whole\n$", done.err)
    again = bn(*args)
    assert again.status == 1
    assert "No space left" in again.err
    small_disk.free()
    study.run(load_study(config), small_disk.path)
    assert (small_disk.path / "tiny" / "lanes.parquet").read_bytes() == (
        results / "tiny" / "lanes.parquet"
    ).read_bytes()
