"""From the arrays of a shard to rows: each number lands in the row of its lane, step and layer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bn_ablate.engine import Outcome, Shard
from bn_ablate.engine.observe import Observation
from bn_ablate.measure import LayerMeasures
from bn_ablate.results.frames import tables_of
from bn_ablate.results.provenance import git_state, provenance
from bn_ablate.results.tables import table_schemas
from tests.results.made_up import plan_of

TIMES, SEEDS, CELLS, DEPTH = 3, 2, 4, 2
STEPS = (0, 4, 6)


def digits(*places: int) -> np.ndarray:
    """An array of this shape, each entry of which spells its own index in decimal digits."""
    grid = np.indices(places)
    return sum(index * 10.0 ** (len(places) - 1 - i) for i, index in enumerate(grid))  # type: ignore[return-value]


def outcome_of(loss: np.ndarray | None = None, diverged_at: np.ndarray | None = None) -> Outcome:
    """An outcome in which every number tells where it belongs."""
    cells = plan_of().cells
    by_layer = digits(TIMES, SEEDS, CELLS, DEPTH)
    measures = LayerMeasures(*(by_layer + 10_000 * (i + 1) for i in range(len(LayerMeasures._fields))))
    observations = Observation(
        loss_sum=digits(TIMES, SEEDS, CELLS),
        loss=digits(TIMES, SEEDS, CELLS, 3) if loss is None else loss,
        accuracy=digits(TIMES, SEEDS, CELLS, 3) / 10_000,
        layers=measures,
        gradient_norm=by_layer + 1,
        histograms=digits(TIMES, SEEDS, CELLS, DEPTH, 2)[..., None] + np.zeros(102),
    )
    never = np.full((SEEDS, CELLS), -1)
    shard = Shard(cells, cells, (7, 3), CELLS)
    return Outcome(shard, STEPS, observations, never if diverged_at is None else diverged_at, np.full(SEEDS, 0.1))


@pytest.fixture
def tables() -> dict[str, pl.DataFrame]:
    return tables_of(outcome_of())


def test_the_tables_have_the_columns_of_the_store(tables: dict[str, pl.DataFrame]) -> None:
    for name, schema in table_schemas().items():
        assert set(tables[name].columns) == set(schema), name
        tables[name].select(list(schema)).cast(schema)  # type: ignore[arg-type]
    lanes = SEEDS * CELLS
    heights = {
        "lanes": lanes,
        "history": lanes * TIMES,
        "layers": lanes * TIMES * DEPTH,
        "histograms": lanes * 2 * DEPTH * 2,
    }
    assert {name: table.height for name, table in tables.items()} == heights


def test_every_number_is_in_its_row(tables: dict[str, pl.DataFrame]) -> None:
    ids = [(seed, cell, plan_of().cells[cell].lane_id((7, 3)[seed])) for seed in range(SEEDS) for cell in range(CELLS)]
    for seed, cell, lane_id in ids:
        here = 100 * seed + 10 * cell
        (lane,) = tables["lanes"].filter(pl.col("lane_id") == lane_id).rows(named=True)
        assert lane["seed"] == (7, 3)[seed]
        assert [lane[f"final_{part}_loss"] for part in ("train", "validation", "test")] == [
            2000 + here + i for i in range(3)
        ]
        assert lane["final_test_accuracy"] == (2000 + here + 2) / 10_000
        assert lane["saturated"] == 60_000 + 2000 + here + 0.5
        history = tables["history"].filter(pl.col("lane_id") == lane_id)
        assert history["step"].to_list() == list(STEPS)
        assert history["validation_loss"].to_list() == [1000 * time + here + 1 for time in range(TIMES)]
        layers = tables["layers"].filter(pl.col("lane_id") == lane_id)
        for row in layers.rows(named=True):
            index = 1000 * STEPS.index(row["step"]) + here + row["layer"]
            assert (row["mean"], row["dead"], row["gradient_norm"]) == (10_000 + index, 80_000 + index, 1 + index)
        for row in tables["histograms"].filter(pl.col("lane_id") == lane_id).rows(named=True):
            assert row["step"] in (0, 6)
            site = ("dense", "activation_input").index(row["site"])
            index = 10_000 * STEPS.index(row["step"]) + 10 * here + 10 * row["layer"] + site
            assert row["counts"] == [index] * 102


def test_the_batch_loss_is_a_mean_over_the_steps_since_the_last_measurement(tables: dict[str, pl.DataFrame]) -> None:
    first = tables["history"]["batch_loss"][:3].to_list()
    assert np.isnan(first[0])
    assert first[1:] == [100 / 4, 200 / 2]


def test_gaps_and_ratio_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    lane = tables["lanes"].row(0, named=True)
    assert lane["gap"] == 2002 - 2000
    assert lane["accuracy_gap"] == pytest.approx((2000 - 2002) / 10_000)
    assert lane["gradient_ratio"] == 2001 / 2002


def test_the_best_step_is_that_of_the_lowest_finite_validation_loss() -> None:
    loss = np.ones((TIMES, SEEDS, CELLS, 3))
    loss[:, 0, 0, 1] = [0.9, 0.3, 0.5]
    loss[:, 0, 1, 1] = [np.nan, 0.8, np.nan]
    loss[:, 0, 2, 1] = [0.4, 0.4, 0.4]
    loss[1, 0, 0, 2] = 0.25
    lanes = tables_of(outcome_of(loss))["lanes"]
    assert lanes["best_step"][:3].to_list() == [4, 4, 0]
    assert lanes["best_test_loss"][0] == 0.25
    assert lanes["best_validation_accuracy"][0] == 1001 / 10_000


def test_a_lane_diverged_when_it_was_seen_to_or_when_its_last_loss_is_not_finite() -> None:
    loss = np.ones((TIMES, SEEDS, CELLS, 3))
    loss[2, 0, 1, 0] = np.nan
    loss[2, 0, 2, 0] = np.inf
    diverged_at = np.full((SEEDS, CELLS), -1)
    diverged_at[0, 0] = 3
    lanes = tables_of(outcome_of(loss, diverged_at))["lanes"]
    assert lanes["diverged_at"].to_list() == [3, 6, 6, *[None] * 5]
    assert lanes["status"].to_list() == ["diverged"] * 3 + ["ok"] * 5


def git(folder: Path, *args: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *args], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_state_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {"sha": None, "dirty": None}
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    sha = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == {"sha": sha, "dirty": False}
    (tmp_path / "code.py").write_text("x = 2\n")
    assert git_state(tmp_path) == {"sha": sha, "dirty": True}


def test_provenance_names_what_numbers_depend_on() -> None:
    said = provenance()
    assert {"jax", "flax", "numpy", "scipy"} <= said["packages"].keys()
    assert said["packages"]["numpy"] == np.__version__
    assert said.keys() == {"git", "packages", "python", "system"}
