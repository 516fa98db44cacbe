"""Studies of several normalizers: each lane is what it is alone, and null is what it has not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import bn_ablate as bn

TABLE: dict[str, Any] = {
    "name": "kinds",
    "seeds": 1,
    "data": {"n_train": 60, "n_validation": 30, "n_test": 30},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 6, "batch_size": 20},
    "measure": {"every": 3, "also": ["variance_shift", "affine"]},
}


def trained(folder: Path, *kinds: str) -> bn.Results:
    return trained_at(folder, norm_kind=list(kinds), placement=["none", "pre"])


def trained_at(folder: Path, **axes: list[Any]) -> bn.Results:
    study = bn.build_study(TABLE | {"axes": axes})
    assert len(bn.make_plan(study).groups) == 1
    return bn.run(study, folder)


@pytest.mark.slow  # tests/engine/test_every_factor.py has lanes of all kinds beside each other
@pytest.mark.usefixtures("as_users_begin")
def test_a_lane_is_the_same_to_the_bit_beside_other_normalizers(tmp_path: Path) -> None:
    together = trained(tmp_path / "together", "batch", "layer", "mean_only")
    alone = trained(tmp_path / "alone", "layer", "mean_only")
    assert set(alone.lanes["lane_id"]) < set(together.lanes["lane_id"])
    for table in ("history", "layers", "histograms"):
        mine, ours = getattr(alone, table), getattr(together, table)
        assert_frame_equal(mine, ours.filter(pl.col("lane_id").is_in(mine["lane_id"].implode())))


@pytest.mark.slow  # tests/nn/test_dissection.py has what the noise depends on
@pytest.mark.usefixtures("as_users_begin")
def test_noise_and_another_batch_are_the_same_to_the_bit_whatever_stands_beside(tmp_path: Path) -> None:
    few: dict[str, list[Any]] = {"norm_noise": [4], "norm_statistics": ["other_batch"], "norm_kind": ["batch"]}
    alone = trained_at(tmp_path / "alone", **few)
    many: dict[str, list[Any]] = {"norm_noise": [0, 4, 10], "norm_statistics": ["own", "moving", "other_batch"]}
    together = trained_at(tmp_path / "together", **many, norm_kind=["batch", "layer"])
    assert set(alone.lanes["lane_id"]) < set(together.lanes["lane_id"])
    for table in ("history", "layers", "histograms"):
        mine, ours = getattr(alone, table), getattr(together, table)
        assert_frame_equal(mine, ours.filter(pl.col("lane_id").is_in(mine["lane_id"].implode())))


def test_what_a_lane_has_not_is_null(tmp_path: Path) -> None:
    together = trained(tmp_path, "batch", "layer", "mean_only")
    assert len(set(together.lanes["lane_id"])) == 4  # networks that are not normalized are one
    layers = together.layers.join(together.lanes.select("lane_id", "norm_kind", "placement"), on="lane_id")
    ends = layers.filter((pl.col("placement") == "pre") & (pl.col("step") == 6))
    assert dict(ends.select("norm_kind", pl.col("variance_shift").is_null()).iter_rows()) == {
        "batch": False,
        "layer": True,
        "mean_only": True,
    }
    assert ends["gamma_mean"].null_count() == 0
