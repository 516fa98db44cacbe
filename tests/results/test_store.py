"""The store: shards come once and whole, and the published tables depend on nothing but what is in them."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bn_ablate.results import ResultsError, Store, open_results, published_tables
from bn_ablate.results.files import TEMPORARY, sha256_of
from bn_ablate.results.published_tables import with_underfitting
from bn_ablate.results.recording.columns import table_schemas
from tests.disk import Disk
from tests.effort import examples
from tests.results.made_up import finished, flip, listing, manifest_of, plan_of, published, record, stored, tables_of

PUBLISHED = ("lanes.parquet", "history.parquet", "layers.parquet", "histograms.parquet")


def test_what_is_stored_is_published(tmp_path: Path) -> None:
    plan = plan_of()
    store = stored(tmp_path, plan, 3)
    assert finished(store) == {lane.id for lane in plan.lanes}
    manifest = store.publish(plan, manifest_of(plan))
    assert manifest["lanes"] == {"planned": 8, "finished": 8, "diverged": 0}
    results = open_results(tmp_path)
    given = tables_of(plan.lanes)
    axes = ["placement", "dropout_rate"]
    assert results.lanes.columns == ["lane_id", *axes, *list(table_schemas()["lanes"])[1:2], *results.lanes.columns[4:]]
    assert results.lanes.select(given["lanes"].columns).equals(given["lanes"].cast({"diverged_at": pl.Int64}))
    assert results.lanes.select(*axes, "seed").rows() == [
        (*lane.cell.levels.values(), lane.seed) for lane in plan.lanes
    ]
    assert results.history.equals(given["history"].select(results.history.columns))
    assert results.layers.sort("lane_id", "step", "layer").equals(
        given["layers"].select(results.layers.columns).sort("lane_id", "step", "layer")
    )
    assert results.histograms.height == given["histograms"].height


@pytest.mark.parametrize("order", [0, 1, *(pytest.param(order, marks=pytest.mark.slow) for order in (2, 3))])
def test_the_published_bytes_do_not_depend_on_how_the_lanes_came(tmp_path: Path, order: int) -> None:
    plan = plan_of()
    published(tmp_path / "expected", plan)
    shuffled = random.Random(order).sample(plan.lanes, plan.n_lanes)
    cuts = sorted(random.Random(order).sample(range(1, 8), 3))
    store = Store(tmp_path / "shuffled")
    store.open()
    for start, stop in zip([0, *cuts], [*cuts, 8], strict=True):
        store.add_shard(f"{random.Random(start + order).random()}", tables_of(shuffled[start:stop]), record())
    store.publish(plan, manifest_of(plan))
    for name in PUBLISHED:
        assert (tmp_path / "shuffled" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes(), name


def test_publishing_twice_changes_no_byte(tmp_path: Path) -> None:
    store = published(tmp_path)
    before = listing(tmp_path)
    store.publish(plan_of(), manifest_of(plan_of()))
    assert listing(tmp_path) == before


def test_the_rows_stand_in_the_order_of_the_plan(tmp_path: Path) -> None:
    plan = plan_of(axes={"dropout_rate": [0.5, 0.0], "placement": ["pre", "none"]}, seeds=[3, 1])
    published(tmp_path, plan)
    results = open_results(tmp_path)
    order = [lane.id for lane in plan.lanes]
    assert results.lanes["lane_id"].to_list() == order
    assert results.lanes["seed"].to_list()[:4] == [3, 1, 3, 1]
    assert results.history["lane_id"].unique(maintain_order=True).to_list() == order
    assert results.history.filter(pl.col("lane_id") == order[0])["step"].to_list() == [0, 50, 100]
    keys = results.layers.filter(pl.col("lane_id") == order[0]).select("step", "layer").rows()
    assert keys == [(0, 0), (0, 1), (50, 0), (50, 1), (100, 0), (100, 1)]


def test_the_tables_of_many_lanes_are_put_together_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(seeds=5)
    store = stored(tmp_path, plan, 3)
    store.publish(plan, manifest_of(plan))
    before = {file: pl.read_parquet(tmp_path / file) for file in PUBLISHED}
    monkeypatch.setattr(published_tables, "LANES_AT_ONCE", 3)
    for times, lanes in ((16, [3, 3, 3, 3, 3, 3, 2]), (4, [5, 5, 5, 5])):
        monkeypatch.setattr(published_tables, "MOST_TIMES", times)
        of_plan = published_tables.planned_rows(plan)
        pieces = published_tables.gathered("history", table_schemas()["history"], of_plan, store.usable(plan))
        assert [piece["lane_id"].n_unique() for piece in pieces] == [0, *lanes]
        store.publish(plan, manifest_of(plan))
        for file, rows in before.items():
            assert pl.read_parquet(tmp_path / file).equals(rows), file


def test_a_shard_is_written_once(tmp_path: Path) -> None:
    plan = plan_of()
    store = stored(tmp_path, plan)
    before = listing(tmp_path)
    changed = tables_of(plan.lanes)
    changed["lanes"] = changed["lanes"].with_columns(final_test_loss=pl.lit(9.0))
    store.add_shard("shard-0", changed, record())
    assert listing(tmp_path) == before


def test_lanes_that_left_the_plan_are_kept_and_come_back(tmp_path: Path) -> None:
    large = plan_of()
    published(tmp_path, large)
    before = listing(tmp_path)
    small = plan_of(axes={"placement": ["pre"], "dropout_rate": [0.0, 0.5]}, seeds=1)
    store = Store(tmp_path)
    store.open()
    store.publish(small, manifest_of(small))
    results = open_results(tmp_path)
    wanted = [lane.id for lane in small.lanes]
    assert results.lanes["lane_id"].to_list() == wanted
    for table in (results.history, results.layers, results.histograms):
        assert set(table["lane_id"]) == set(wanted)
    assert finished(store) == {lane.id for lane in large.lanes}
    store.publish(large, manifest_of(large))
    assert listing(tmp_path) == before


def test_what_is_finished_of_a_larger_plan_is_published(tmp_path: Path) -> None:
    published(tmp_path)
    larger = plan_of(seeds=3)
    manifest = Store(tmp_path).publish(larger, manifest_of(larger, status="interrupted"))
    assert manifest["lanes"] == {"planned": 12, "finished": 8, "diverged": 0}
    assert open_results(tmp_path).lanes["seed"].to_list() == [0, 1] * 4


def test_nothing_finished_gives_empty_tables(tmp_path: Path) -> None:
    plan = plan_of()
    store = Store(tmp_path)
    store.open()
    assert finished(store) == set()
    store.publish(plan, manifest_of(plan, status="interrupted"))
    results = open_results(tmp_path)
    assert results.lanes.height == results.history.height == 0
    assert {"placement", "seed", "final_test_loss", "underfitting"} <= set(results.lanes.columns)


def test_a_shard_from_before_a_measure_was_known_is_read(tmp_path: Path) -> None:
    plan = plan_of()
    store = stored(tmp_path, plan)
    shutil.rmtree(tmp_path / "shards")
    store.open()
    for part, of in enumerate((record(), record(code="older"))):
        store.add_shard(f"shard-{part}", tables_of(plan.lanes[part::2]), of)
    folder = tmp_path / "shards" / "shard-1"
    old = pl.read_parquet(folder / "lanes.parquet").drop("smoothness")
    old.write_parquet(folder / "lanes.parquet")
    sums = json.loads((folder / "checksums.json").read_text())
    sums["lanes.parquet"] = sha256_of(folder / "lanes.parquet")
    (folder / "checksums.json").write_text(json.dumps(sums))
    store.publish(plan, manifest_of(plan))
    lanes = open_results(tmp_path).lanes
    assert lanes.height == 8
    assert lanes["gap"].null_count() == 0
    assert lanes.filter(pl.col("smoothness").is_null())["lane_id"].to_list() == [lane.id for lane in plan.lanes[1::2]]


def test_diverged_lanes_are_counted(tmp_path: Path) -> None:
    plan = plan_of()
    tables = tables_of(plan.lanes)
    bad = pl.col("placement") == "none"
    rows = (
        tables["lanes"]
        .with_row_index()
        .with_columns(placement=pl.Series([lane.cell.levels["placement"] for lane in plan.lanes]))
    )
    tables["lanes"] = rows.with_columns(
        status=pl.when(bad).then(pl.lit("diverged")).otherwise("status"),
        diverged_at=pl.when(bad).then(17),
        final_train_loss=pl.when(bad).then(math.nan).otherwise("final_train_loss"),
    ).drop("index", "placement")
    store = Store(tmp_path)
    store.open()
    store.add_shard("one", tables, record())
    assert store.publish(plan, manifest_of(plan))["lanes"]["diverged"] == 4
    lanes = open_results(tmp_path).lanes.filter(pl.col("placement") == "none")
    assert lanes["diverged_at"].to_list() == [17] * 4
    assert lanes["final_train_loss"].is_nan().all()
    assert lanes["underfitting"].is_nan().all()


def underfitting(rows: list[dict[str, Any]], axes: list[str]) -> list[float | None]:
    rows = [row | {"recalibrated_train_loss": 2 * row["final_train_loss"]} for row in rows]
    found = with_underfitting(pl.DataFrame(rows), axes)
    doubled = [None if x is None else 2 * x for x in found["underfitting"].to_list()]
    np.testing.assert_equal(found["recalibrated_underfitting"].to_list(), doubled)
    return found["underfitting"].to_list()


def test_underfitting_by_hand() -> None:
    def row(placement: str, rate: float, seed: int, loss: float) -> dict[str, Any]:
        return {"placement": placement, "dropout_rate": rate, "seed": seed, "final_train_loss": loss}

    rows = [
        row("pre", 0.0, 0, 0.25),
        row("pre", 0.0, 1, 0.5),
        row("pre", 0.5, 0, 1.0),
        row("pre", 0.5, 1, 0.375),
        row("none", 0.5, 0, 2.0),  # whose partner at dropout 0 is not there
        row("post", 0.0, 0, math.nan),
        row("post", 0.5, 0, 1.0),
    ]
    expected = [0.0, 0.0, 0.75, -0.125, None, math.nan, math.nan]
    found = underfitting(rows, ["placement", "dropout_rate"])
    assert [x if x is None or not math.isnan(x) else "nan" for x in found] == [
        x if x is None or not math.isnan(x) else "nan" for x in expected
    ]


def test_there_is_no_underfitting_without_a_dropout_axis_or_its_zero() -> None:
    rows = [{"placement": "pre", "dropout_rate": rate, "seed": 0, "final_train_loss": 1.0} for rate in (0.2, 0.5)]
    assert underfitting(rows, ["placement", "dropout_rate"]) == [None, None]
    assert underfitting([{"placement": "pre", "seed": 0, "final_train_loss": 1.0}], ["placement"]) == [None]


@pytest.mark.parametrize("table", ["lanes", pytest.param("history", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "damage", ["flip", "truncate", "remove", "checksum", "checksums gone", "checksums no table", "checksums no JSON"]
)
def test_a_damaged_shard_is_refused_with_its_remedy(tmp_path: Path, damage: str, table: str) -> None:
    plan = plan_of()
    store = stored(tmp_path, plan, 2)
    file = tmp_path / "shards" / "shard-1" / f"{table}.parquet"
    sums = file.parent / "checksums.json"
    match damage:
        case "flip":
            flip(file)
        case "truncate":
            file.write_bytes(file.read_bytes()[:-1])
        case "remove":
            file.unlink()
        case "checksum":
            sums.write_text(sums.read_text().replace(f'"{table}.parquet": "', f'"{table}.parquet": "0'))
        case "checksums gone":
            sums.unlink()
        case "checksums no table":
            sums.write_text("[]")
        case "checksums no JSON":
            flip(sums, 0)
    with pytest.raises(ResultsError) as caught:
        _ = finished(store) and store.publish(plan, manifest_of(plan))
    told = str(caught.value)
    assert str(file.parent) in told
    assert told.endswith(f"delete the folder {file.parent} and run again: only its lanes are trained anew")


def test_the_remedy_for_a_damaged_shard_works(tmp_path: Path) -> None:
    plan = plan_of()
    store = published(tmp_path, plan)
    before = listing(tmp_path)
    flip(tmp_path / "shards" / "shard-1" / "lanes.parquet")
    for file in (tmp_path / "shards" / "shard-1").iterdir():
        file.unlink()
    (tmp_path / "shards" / "shard-1").rmdir()
    missing = [lane for lane in plan.lanes if lane.id not in finished(store)]
    assert missing == plan.lanes[1::2]
    store.add_shard("shard-1", tables_of(missing), record())
    store.publish(plan, manifest_of(plan))
    assert listing(tmp_path) == before


def test_who_is_alone_sweeps_what_an_interrupted_run_left(tmp_path: Path) -> None:
    published(tmp_path)
    before = listing(tmp_path)
    (tmp_path / "shards" / f"{TEMPORARY}half").mkdir()
    (tmp_path / "shards" / f"{TEMPORARY}half" / "lanes.parquet").write_bytes(b"PAR1")
    (tmp_path / f"{TEMPORARY}x.parquet").write_bytes(b"PAR1")
    store = Store(tmp_path)
    assert len(finished(store)) == 8
    store.open()
    assert listing(tmp_path) != before
    with store.alone():
        pass
    assert listing(tmp_path) == before


def test_a_place_where_no_folder_can_be_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        ResultsError, match=r"file/study: cannot be written to: .*; choose another folder with --results"
    ):
        Store(tmp_path / "file" / "study").open()


def test_a_full_disk_spoils_nothing(small_disk: Disk) -> None:
    plan = plan_of()
    store = published(small_disk.path / "study", plan)
    small_disk.fill()
    before = listing(store.path)
    larger = plan_of(seeds=[0, 1, 7])
    fresh = [lane for lane in larger.lanes if lane.seed == 7]
    with pytest.raises(ResultsError, match=r"cannot be written \(.*(No space left|os error 28)"):
        store.add_shard("more", tables_of(fresh), record())
    with pytest.raises(ResultsError, match=r"lanes\.parquet: cannot be written \(.*(No space left|os error 28)"):
        store.publish(larger, manifest_of(larger))
    assert listing(store.path) == before
    small_disk.free()
    store.add_shard("more", tables_of(fresh), record())
    store.publish(larger, manifest_of(larger))
    assert open_results(store.path).lanes.height == 12


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 4)), max_size=4))
@settings(
    max_examples=examples(4, 20), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_lanes_that_are_in_several_shards_count_once(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[tuple[int, int]]
) -> None:
    plan = plan_of()
    path = tmp_path_factory.mktemp("store")
    store = Store(path)
    store.open()
    for i, (start, length) in enumerate(blocks):
        store.add_shard(str(i), tables_of(plan.lanes[start : start + length]), record())
    store.publish(plan, manifest_of(plan))
    results = open_results(path)
    finished = {lane.id for start, length in blocks for lane in plan.lanes[start : start + length]}
    assert set(results.lanes["lane_id"]) == finished
    assert results.lanes.height == len(finished)
    assert results.history.height == 3 * len(finished)
    assert results.layers.height == 6 * len(finished)
    assert results.histograms.height == 8 * len(finished)


def test_a_folder_that_vanished_is_reported_and_not_made_anew(tmp_path: Path) -> None:
    plan = plan_of()
    store = published(tmp_path / "study", plan)
    shutil.rmtree(store.path)
    for write in (lambda: store.add_shard("more", tables_of(plan.lanes), record()), lambda: store.publish(plan, {})):
        with pytest.raises(ResultsError, match="shards: has vanished while it was in use"):
            write()
    assert list(tmp_path.iterdir()) == []
