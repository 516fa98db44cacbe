"""From the arrays of a shard to rows: each number lands in the row of its lane, step and layer."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bn_ablate.config import LaneSettings
from bn_ablate.config.measures import ALONG, OF_AFFINE, OFF, PARTS, PROBED, SHIFTED, UNIT
from bn_ablate.config.quantity import REQUESTS, TABLES, Quantity
from bn_ablate.engine import Outcome, Shard
from bn_ablate.engine.extras import Extras
from bn_ablate.engine.observe import Observation
from bn_ablate.results.provenance import environment, git_state, lock
from bn_ablate.results.recording.columns import table_schemas
from bn_ablate.results.recording.frames import tables_of
from bn_ablate.results.recording.lane_rows import slope
from tests.results.made_up import plan_of

TIMES, SEEDS, CELLS, DEPTH = 3, 2, 4, 2
STEPS = (0, 4, 6)


def digits(*places: int) -> np.ndarray:
    """An array of this shape, each entry of which spells its own index in decimal digits."""
    grid = np.indices(places)
    return sum(index * 10.0 ** (len(places) - 1 - i) for i, index in enumerate(grid))  # type: ignore[return-value]


def extras_of() -> Extras:
    """All that can be asked for, in which every number tells where it belongs."""
    lane, layer = digits(TIMES, SEEDS, CELLS), digits(TIMES, SEEDS, CELLS, DEPTH)
    parts = np.moveaxis(digits(TIMES, SEEDS, CELLS, 3), -1, 0)
    return Extras(
        history={
            f"{how}_{part}_{what}": values[i]
            for how, loss, accuracy in (
                ("recalibrated", parts + 0.25, parts / 20_000),
                ("batch", parts + 0.5, parts / 40_000),
            )
            for i, part in enumerate(PARTS)
            for what, values in (("loss", loss), ("accuracy", accuracy))
        }
        | filled(ALONG, lane),
        layers=filled(SHIFTED, layer)
        | filled(OFF, layer)
        | filled(OF_AFFINE, layer)
        | {of.name: layer**2 + i for i, of in enumerate(UNIT)},
    )


def filled(measures: Iterable[Quantity], values: np.ndarray, step: int = 100_000) -> dict[str, np.ndarray]:
    """`values` for each of the measures, and its place among them."""
    return {of.name: values + step * (i + 1) for i, of in enumerate(measures)}


def outcome_of(
    loss: np.ndarray | None = None,
    diverged_at: np.ndarray | None = None,
    extras: Extras | None = None,
    **changes: Any,
) -> Outcome:
    """An outcome in which every number tells where it belongs."""
    asked = {"measure": {"also": list(REQUESTS)}} if extras else {}
    cells = plan_of(**asked | changes).cells
    by_layer = digits(TIMES, SEEDS, CELLS, DEPTH)
    observations = Observation(
        loss_sum=digits(TIMES, SEEDS, CELLS),
        loss=digits(TIMES, SEEDS, CELLS, 3) if loss is None else loss,
        accuracy=digits(TIMES, SEEDS, CELLS, 3) / 10_000,
        layers=filled(PROBED, by_layer, 10_000) | {"gradient_norm": by_layer + 1},
        histograms=digits(TIMES, SEEDS, CELLS, DEPTH, 2)[..., None] + np.zeros(102),
        extras=extras or Extras({}, {}),
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


def test_what_was_not_asked_for_is_null(tables: dict[str, pl.DataFrame]) -> None:
    for table in ("layers", "history", "lanes"):
        for name, of in TABLES[table].items():
            if of.apart:
                assert name not in tables[table].columns
            elif any(need.problem and not need.holds(LaneSettings()) for need in of.needs) and not of.paired:
                assert tables[table][name].is_null().all(), name


def test_what_was_asked_for_is_in_its_row() -> None:
    """The cells are none, none, pre, pre: layers without BN have no gamma, and what is dear is missing in between."""
    tables = tables_of(outcome_of(extras=extras_of()))
    history = tables["history"].rows(named=True)
    for i, row in enumerate(history):
        time, here = i % TIMES, 100 * (i // TIMES // CELLS) + 10 * (i // TIMES % CELLS)
        between = time == 1
        assert row["recalibrated_validation_loss"] == (None if between else 1000 * time + here + 1.25)
        assert row["batch_test_accuracy"] == (None if between else (1000 * time + here + 2) / 40_000)
        assert row["smoothness"] == 300_000 + (1000 * time + here) / 10
    for i, row in enumerate(tables["layers"].rows(named=True)):
        lane, time, layer = i // (TIMES * DEPTH), i // DEPTH % TIMES, i % DEPTH
        here = 1000 * time + 100 * (lane // CELLS) + 10 * (lane % CELLS) + layer
        between, bare = time == 1, lane % CELLS < 2
        assert row["inactive_train"] == (None if between else 200_000 + here)
        assert row["variance_ratio"] == (None if between or bare else 200_000 + here)
        assert row["beta_over_gamma"] == (None if bare else 1_000_000 + here)
        assert row["unit_p85"] == here**2 + 2
    none, pre = tables["lanes"].row(0, named=True), tables["lanes"].row(2, named=True)
    assert none["recovered_train_loss"] == 2000 - 2000.25
    assert none["recovered_test_loss"] == 2002 - 2002.25
    assert none["recalibrated_gap"] == 2
    assert (none["dead_train"], none["dead_train_start"]) == (100_000 + 2000.5, 100_000 + 0.5)
    assert (none["first_inactive_train"], none["first_inactive_train_start"]) == (200_000 + 2000, 200_000)
    assert (none["variance_shift"], none["gamma_min"]) == (None, None)
    assert (pre["variance_shift"], pre["variance_shift_max"]) == (102_020.5, 102_021)
    assert pre["beta_negative"] == 900_000 + 2020.5
    assert none["loss_range"] == 100_000 + 100  # the mean of 0, 100 and 200
    assert none["unit_drift"] == ((1001**2 - 1) + (2001**2 - 1001**2)) / 2


def test_a_bn_that_the_coverage_leaves_out_counts_in_no_mean() -> None:
    cells = {"axes": {"placement": ["post"], "coverage": ["all", "first", "only_1", "none"]}}
    lanes = tables_of(outcome_of(extras=extras_of(), **cells))["lanes"]
    assert lanes["variance_shift"][:4].to_list() == [102_000.5, 102_010, 102_021, None]
    assert lanes["variance_shift_max"][:4].to_list() == [102_001, 102_010, 102_021, None]


def test_what_is_not_finite_is_not_null() -> None:
    extras = extras_of()
    extras.layers["variance_shift"][-1, 1, 2, 0] = np.nan
    extras.history["smoothness"][1, 0, 0] = np.inf
    for part in ("train", "test"):
        extras.history[f"recalibrated_{part}_loss"][-1, 0, 0] = np.nan
    extras.layers["dead_train"][-1, 0, 0, 1] = np.nan
    lanes = tables_of(outcome_of(extras=extras))["lanes"]
    for name in ("recalibrated_train_loss", "recovered_test_loss", "recalibrated_gap", "dead_train"):
        assert lanes[name].null_count() == 0
        assert lanes[name].is_nan().to_list() == [True] + [False] * 7, name
    for name in ("variance_shift", "variance_shift_max"):
        assert lanes[name].is_nan().to_list() == [None, None, False, False, None, None, True, False], name
    assert lanes["smoothness"].is_infinite().to_list() == [True] + [False] * 7


def test_measures_at_the_start_and_of_the_first_layer(tables: dict[str, pl.DataFrame]) -> None:
    lane = tables["lanes"].row(0, named=True)
    assert (lane["saturated"], lane["saturated_start"]) == (60_000 + 2000.5, 60_000.5)
    assert (lane["first_in_band"], lane["first_in_band_start"]) == (40_000 + 2000, 40_000)
    assert lane["gradient_ratio_start"] == 1 / 2
    assert lane["gradient_slope"] == pytest.approx(np.log10(2002 / 2001))
    assert lane["gradient_slope_start"] == pytest.approx(np.log10(2))


def test_the_slope_of_the_gradient_is_that_of_least_squares() -> None:
    norms = np.exp(np.random.default_rng(0).normal(size=(3, 7)))
    expected = [np.polyfit(range(7), np.log10(row), 1)[0] for row in norms]
    np.testing.assert_allclose(slope(np.log10(norms)), expected)
    assert slope(np.zeros((3, 1))).mask.all()
    assert not np.isfinite(slope(np.array([[-np.inf, 0.0, 1.0]])).data).any()


def test_the_slope_of_a_lane_does_not_depend_on_the_lanes_beside_it() -> None:
    y = np.random.default_rng(0).normal(size=(501, 6))
    alone = [float(slope(row[np.newaxis])[0]) for row in y]
    np.testing.assert_array_equal(slope(y), alone)


def test_steps_to_a_loss() -> None:
    """Reached at once, later, never (which counts as the last step), and before the lane diverged."""
    loss = np.ones((TIMES, SEEDS, CELLS, 3))
    loss[:, 0, 0, 0] = [0.5, 0.4, 0.9]
    loss[:, 0, 1, 0] = [0.9, 0.5, 0.4]
    loss[:, 0, 3, 0] = [0.9, 0.1, np.nan]
    lanes = tables_of(outcome_of(loss, measure={"loss_threshold": 0.5}))["lanes"]
    assert lanes["steps_to_loss"][:4].to_list() == [0, 4, 6, 4]
    assert lanes["reached_loss"][:4].to_list() == [1, 1, 0, 1]


def test_a_lane_has_trained_a_tenth_of_the_way_from_chance_to_perfect() -> None:
    """The commonest class is a tenth of the first seed's examples, and half of the second's."""
    outcome = replace(outcome_of(), chance=np.array([0.1, 0.5]))
    accuracy = outcome.observations.accuracy
    accuracy[-1, :, :, 0] = [[0.18, 0.19, 0.2, 0.1], [0.54, 0.55, 0.56, 0.1]]
    assert tables_of(outcome)["lanes"]["trained"].to_list() == [0, 1, 1, 0] * 2


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
    said = environment()
    assert {"jax", "flax", "numpy", "scipy"} <= said["packages"].keys()
    assert said["packages"]["numpy"] == np.__version__
    assert said.keys() == {"git", "lock", "packages", "python", "system"}


def test_the_lock_is_that_which_the_environment_was_made_from(tmp_path: Path) -> None:
    checkout, environment = tmp_path / "checkout", tmp_path / "venv"
    (checkout / "requirements").mkdir(parents=True)
    environment.mkdir()
    (checkout / "requirements" / "cuda.txt").write_text("jax==1\n")
    assert lock(checkout, environment) is None
    (environment / "setup.json").write_text('{"device": "cuda"}')
    said = lock(checkout, environment)
    assert said is not None
    assert said == {"file": "requirements/cuda.txt", "sha256": hashlib.sha256(b"jax==1\n").hexdigest()}
    (environment / "setup.json").write_text('{"device": "tpu"}')
    assert lock(checkout, environment) is None
    (environment / "setup.json").write_text("[")
    assert lock(checkout, environment) is None
