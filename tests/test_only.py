"""Some lanes of a study: they stay the lanes that they are, and trained anew they give the same numbers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.cli.console import make_console
from bn_ablate.cli.rerun_shown import show_rerun
from bn_ablate.config import ConfigError, build_study
from bn_ablate.engine import shards_of
from bn_ablate.plan import LONGEST_NAME, make_plan, restrict
from bn_ablate.results import Results, compare, verify
from bn_ablate.runs.rerun import Rerun
from tests.cli.command_line import TABLE, TINY
from tests.results.made_up import listing
from tests.synthetic import write_results

SQUARE: dict[str, Any] = {
    "name": "square",
    "seeds": 3,
    "axes": {"placement": ["none", "pre"], "activation": ["sigmoid", "relu"]},
}
SYNTHETIC: dict[str, Any] = {"name": "s", "seeds": 2, "axes": {"placement": ["none", "pre"]}}
GRID: dict[str, Any] = {
    "name": "grid",
    "seeds": 3,
    "axes": {"placement": ["none", "pre", "post"], "depth": [1, 2], "affine": ["none", "both"]},
    "exclude": [{"placement": "none", "affine": "both"}, {"placement": ["pre", "post"], "depth": 2, "affine": "none"}],
}


def test_a_part_keeps_lanes_and_programs_of_the_whole() -> None:
    whole = make_plan(build_study(GRID))
    part = restrict(whole, {"placement": ["pre", "none"], "seed": 2})
    ids = [lane.id for lane in whole.lanes if lane.cell.levels["placement"] != "post" and lane.seed == 2]
    assert [lane.id for lane in part.lanes] == ids
    assert [lane.id for lane in make_plan(build_study(part.study.model_dump(mode="json"))).lanes] == ids
    assert [group.kin for group in part.groups] == [group.cells for group in whole.groups]
    assert [shard.group for shard in shards_of(part)] == [group.cells for group in whole.groups]
    assert (part.study.name, part.whole) == ("grid.placement-none-pre.seed-2", whole)
    assert len(restrict(whole, {"depth": 2}).groups) == 1


def test_a_part_has_the_shapes_of_the_whole_where_they_matter() -> None:
    whole = make_plan(build_study(SQUARE))
    part = restrict(whole, {"placement": "pre", "seed": [0, 2]})
    for most, room, seed_room, n_shards in ((256, 4, 3, 1), (6, 2, 3, 1), (3, 1, 3, 2), (2, 1, 2, 2), (1, 1, 1, 4)):
        shards = shards_of(part, max_lanes=most, as_whole=True)
        assert [(shard.room, shard.seed_room) for shard in shards] == [(room, seed_room)] * n_shards
        assert {(shard.room, shard.seed_room) for shard in shards_of(whole, max_lanes=most)} == {(room, seed_room)}
        assert sum(len(shard.lane_ids) for shard in shards) == 4


def test_a_part_that_is_none_is_reported() -> None:
    whole = make_plan(build_study(GRID))
    with pytest.raises(ConfigError, match="the exclusions of the study leave nothing of it"):
        restrict(whole, {"placement": "none", "affine": "both"})
    with pytest.raises(ConfigError, match="did you mean 'placement'"):
        restrict(whole, {"plcement": "none"})


def test_long_names_of_parts_are_cut_and_stay_different() -> None:
    whole = make_plan(build_study(GRID | {"name": "x" * LONGEST_NAME, "axes": GRID["axes"] | {"momentum": [0.5, 0.9]}}))
    names = {restrict(whole, {"momentum": m, "seed": seed}).study.name for m in (0.5, 0.9) for seed in (0, 1)}
    assert len(names) == 4
    assert all(len(name) <= LONGEST_NAME for name in names)


@pytest.mark.slow  # tests/test_extensions.py verifies a lane of a whole study by training it alone
@pytest.mark.usefixtures("as_users_begin")
@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_lanes_trained_anew_are_the_same_to_the_bit(tmp_path: Path, strategy: Literal["map", "vmap"]) -> None:
    study = build_study(TABLE | {"name": "part", "hypotheses": []})
    stored = bn.run(study, tmp_path, strategy=strategy)
    before = listing(stored.path)
    only = {"learning_rate": 0.1, "seed": 1}
    for _ in range(2):
        seen: list[Any] = []
        again = bn.rerun(study, only, tmp_path, strategy=strategy, on_progress=seen.append)
        assert seen[-1].lane_steps == 4
        assert again.results.lanes.height == 1
        assert again.differences is not None
        assert set(again.differences["table"]) == {"lanes", "history", "layers", "histograms"}
        assert again.differences["differing"].sum() == 0
        assert set(again.differences["lanes"]) == {1}
        assert verify(again.results.path) == []
    assert listing(stored.path) == before
    manifest = again.results.path / "manifest.json"
    assert '"part_of": "part"' in manifest.read_text()
    manifest.write_text(manifest.read_text().replace('"part_of"', '"other"'))
    with pytest.raises(bn.ResultsError, match="is a study of its own; choose another --results"):
        bn.rerun(study, only, tmp_path, strategy=strategy)
    row = again.results.lanes.row(0, named=True)
    same = stored.lanes.filter(pl.col("lane_id") == row["lane_id"]).row(0, named=True)
    assert {key: row[key] for key in row if key != "underfitting"} == {k: same[k] for k in same if k != "underfitting"}


@pytest.mark.usefixtures("draw_little")
def test_the_command_line_says_whether_the_numbers_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    config, results = tmp_path / "tiny.toml", tmp_path / "results"
    config.write_text(TINY)
    run = ["run", str(config), "--results", str(results), "--wandb", "disabled"]
    assert cli.main([*run, "--only", "learning_rate=0.1", "--only", "seed=1"]) == 0
    assert "nothing is stored of these lanes to compare with" in capsys.readouterr().out
    (part,) = results.iterdir()
    shutil.copytree(part, results / "tiny")
    assert cli.main([*run, "--learning_rate=0.1", "--seed=1"]) == 0
    same = rf"1 of 1 lane: \d+ numbers held to {results}/tiny: the same, bit for bit\n"
    assert re.search(same, capsys.readouterr().out)
    assert cli.main([*run, "--only", "learning_rate=0.2"]) == 2
    assert "learning_rate: '0.2' is none of 0.01, 0.1" in capsys.readouterr().err


def test_what_differs_is_reported_with_how_it_was_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = write_results(tmp_path / "stored", SYNTHETIC)
    nudged = write_results(
        tmp_path / "again", SYNTHETIC, change=lambda levels, seed, row: row | {"gap": row["gap"] + 2e-7}
    )
    again = Results(nudged.path, nudged.manifest)
    differences = compare(stored, again)
    assert differences is not None
    changed = differences.filter(pl.col("differing") > 0)
    assert changed.select("table", "column", "values", "differing").rows() == [("lanes", "gap", 4, 4)]
    assert changed["largest"].item() == pytest.approx(2e-7)
    show_rerun(make_console(), Rerun(again, stored, differences, "strategy map, now vmap"))
    told = r"4 of 4 lanes: [\d,]+ numbers held to .*/stored: 4 differ, by 2e-07 at most \(in lanes, gap\); "
    assert re.search(told + "what has changed since: strategy map, now vmap\n", capsys.readouterr().out)
    elsewhere = write_results(tmp_path / "elsewhere", SYNTHETIC | {"train": {"steps": 100}})
    assert compare(stored, elsewhere) is None
