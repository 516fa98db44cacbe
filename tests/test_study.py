"""The library: a lane can be rebuilt elsewhere, and a study run from Python."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_digits

import bn_ablate as bn
from bn_ablate.data import load, moments
from bn_ablate.engine import Engine, shards_of
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.plan import make_plan
from bn_ablate.runs.one_lane import TrainedLane
from tests.cli.command_line import TABLE as TINY
from tests.engine import reference

TABLE: dict[str, Any] = {
    "name": "library",
    "seeds": 3,
    "data": {"n_train": 120, "n_validation": 100, "n_test": 200},
    "model": {"depth": 2, "width": 16},
    "train": {"steps": 30, "batch_size": 20, "learning_rate": 0.05, "weight_decay": 0.01},
    "measure": {"every": 10},
}


@pytest.fixture(scope="module")
def lane() -> TrainedLane:
    """A lane with BN and dropout, trained alone."""
    study = bn.build_study(TABLE | {"dropout": {"rate": 0.3}})
    return bn.train_lane(study, {"placement": "pre", "activation": "tanh"}, seed=1)


def rebuilt(
    lane: TrainedLane, noise: list[tuple[np.ndarray, ...]]
) -> tuple[dict[str, Any], dict[str, Any], list[float]]:
    """The lane trained anew in NumPy from what `train_lane` hands out."""
    batches = [lane.batch(step) for step in range(len(noise))]
    flat = [(images.reshape(len(images), -1).astype(float), labels) for images, labels in batches]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), lane.initial.params)
    params, stats, losses = reference.train(lane.cell.settings, params, flat, noise)
    moving = {name: {"norm": {key: block["norm"][key] for key in ("mean", "var")}} for name, block in stats.items()}
    return params, moving, losses


def test_a_lane_rebuilt_in_numpy_from_its_public_calls_ends_where_ours_does(lane: TrainedLane) -> None:
    params, stats, losses = rebuilt(lane, [lane.noise(step) for step in range(30)])
    for got, want in (
        *zip(jax.tree.leaves(lane.state.params), jax.tree.leaves(params), strict=True),
        *zip(jax.tree.leaves(lane.state.batch_stats), jax.tree.leaves(stats), strict=True),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=3e-4)
    batch_loss = lane.tables["history"]["batch_loss"].to_list()[1:]
    np.testing.assert_allclose(batch_loss, np.reshape(losses, (3, 10)).mean(1), rtol=1e-4)


@pytest.mark.parametrize("standardize", ["channel", "feature", "none"])
def test_the_images_and_labels_of_a_lane_are_those_that_it_is_trained_on(lane: TrainedLane, standardize: str) -> None:
    """What the program's own function gives on the whole set, and what float64 makes of scikit-learn's digits."""
    if standardize != "channel":  # the same lane but for what its images are standardized with
        settings = lane.cell.settings.data.model_copy(update={"standardize": standardize})
        mean, std = moments(lane.dataset, settings, lane.split)
        lane = replace(lane, mean=mean, std=std)
    digits = load_digits()
    raw = digits.images[..., None]
    axes = {"channel": (0, 1, 2), "feature": (0,)}
    train = raw[lane.split.train]
    at, by = (0.0, 1.0) if standardize == "none" else (f(train, axes[standardize]) for f in (np.mean, np.std))
    exact = (raw - at) / np.where(by == 0.0, 1.0, by)
    seed = SeedExamples(lane.mean, lane.std, np.int32(1))  # type: ignore[arg-type]
    on_device = Examples(jnp.asarray(lane.dataset.images), jnp.asarray(lane.dataset.labels))
    for step in (0, 29):
        indices = lane.split.train[lane.batch_indices[step]]
        images, labels = lane.batch(step)
        assert (images.shape, images.dtype, labels.dtype) == ((20, 8, 8, 1), np.float32, np.int32)
        np.testing.assert_array_equal(images, jax.jit(Examples.take)(on_device, indices, seed)[0])
        np.testing.assert_allclose(images, exact[indices], atol=1e-5)
        np.testing.assert_array_equal(labels, digits.target[indices])
    for part in ("train", "validation", "test"):
        images, labels = lane.examples(part)
        np.testing.assert_allclose(images, exact[getattr(lane.split, part)], atol=1e-5)
        np.testing.assert_array_equal(labels, digits.target[getattr(lane.split, part)])


def test_a_step_or_a_part_that_is_not_there_is_named(lane: TrainedLane) -> None:
    for step in (-1, 30):
        with pytest.raises(IndexError, match=f"step {step}: the lane has the steps 0 to 29"):
            lane.batch(step)
    with pytest.raises(KeyError, match="'tests' is none of train, validation, test"):
        lane.examples("tests")  # type: ignore[arg-type]


@pytest.mark.slow  # tests/engine/test_every_factor.py holds random lanes to the same NumPy
def test_every_lane_rebuilt_in_numpy_ends_where_ours_does() -> None:
    """A grid trained at once, held to one lane alone for what it was given, and to NumPy for what came of it.

    The tolerance is that of float32 against float64, and of a ReLU whose input rounds to the other side of zero.
    """
    axes = {
        "placement": ["none", "pre", "post"],
        "activation": ["sigmoid", "tanh", "relu"],
        "dropout_rate": [0.0, 0.3],
    }
    study = bn.build_study(TABLE | {"axes": axes})
    (shard,) = shards_of(make_plan(study))
    outcome = Engine(load("digits")).run(shard, keep_states=True)
    alone = bn.train_lane(study, {"placement": "pre", "activation": "tanh", "dropout_rate": 0.3}, seed=1)
    assert outcome.states is not None
    noise = [alone.noise(step) for step in range(30)]
    for i, cell in enumerate(shard.cells):
        lane = replace(alone, cell=cell)
        params, stats, losses = rebuilt(lane, noise)
        state = jax.tree.map(lambda leaf, i=i: leaf[1, i], outcome.states)
        tolerance = 5e-3 if cell.levels["activation"] == "relu" else 3e-4
        for (path, got), want in zip(jax.tree.leaves_with_path(state.params), jax.tree.leaves(params), strict=True):
            message = f"{cell.levels} {jax.tree_util.keystr(path)}"
            np.testing.assert_allclose(got, want, atol=tolerance, err_msg=message)
        if cell.levels["placement"] != "none":
            for got, want in zip(jax.tree.leaves(state.batch_stats), jax.tree.leaves(stats), strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-2, atol=tolerance, err_msg=str(cell.levels))
        batch_loss = outcome.observations.loss_sum[1:, 1, i] / 10
        np.testing.assert_allclose(batch_loss, np.reshape(losses, (3, 10)).mean(1), atol=1e-3, err_msg=str(cell.levels))
        if cell.levels == alone.cell.levels:
            for got, want in zip(jax.tree.leaves(alone.state.params), jax.tree.leaves(params), strict=True):
                np.testing.assert_allclose(got, want, atol=tolerance)


def test_run_gives_data_frames_and_runs_nothing_twice(tmp_path: Path) -> None:
    study = bn.build_study(TINY)
    seen = []
    first = bn.run(study, tmp_path, on_progress=seen.append)
    assert first.lanes.height == 4
    assert first.history.height == 4 * 3
    assert first.layers.height == 4 * 3 * 1
    assert seen[-1].lanes == 4
    assert seen[-1].lane_steps == seen[-1].lane_steps_planned == 4 * 4
    again: list[Any] = []
    second = bn.run(study, tmp_path, on_progress=again.append)
    assert not again
    assert second.lanes.equals(first.lanes)


@pytest.mark.slow  # tests/engine/test_lanes.py asks it of the engine
def test_a_lane_alone_is_the_lane_of_the_study(tmp_path: Path) -> None:
    study = bn.build_study(TABLE | {"axes": {"placement": ["none", "pre", "post"], "activation": ["tanh", "relu"]}})
    results = bn.run(study, tmp_path)
    alone = bn.train_lane(study, {"placement": "post", "activation": "tanh"}, seed=2).tables["lanes"].row(0, named=True)
    stored = results.lanes.filter(pl.col("lane_id") == alone["lane_id"]).row(0, named=True)
    assert stored["placement"] == "post"
    for name in ("final_train_loss", "final_test_loss", "final_test_accuracy", "gap", "saturated"):
        assert stored[name] == pytest.approx(alone[name], abs=1e-5), name


def test_the_stored_metrics_are_those_of_the_final_state(lane: TrainedLane) -> None:
    """Final train loss and accuracy, recomputed in NumPy from the parameters and the moving statistics."""
    row = lane.tables["lanes"].row(0, named=True)
    for part in ("train", "validation", "test"):
        images, labels = lane.examples(part)  # type: ignore[arg-type]
        h = images.reshape(len(images), -1)
        for i in range(2):
            block, stats = lane.state.params[f"block_{i}"], lane.state.batch_stats[f"block_{i}"]["norm"]
            z = h @ np.asarray(block["linear"]["kernel"])
            xhat = (z - np.asarray(stats["mean"])) / np.sqrt(np.asarray(stats["var"]) + 1e-5)
            h = np.tanh(np.asarray(block["norm"]["scale"]) * xhat + np.asarray(block["norm"]["bias"]))
        logits = h @ np.asarray(lane.state.params["head"]["kernel"]) + np.asarray(lane.state.params["head"]["bias"])
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        assert row[f"final_{part}_loss"] == pytest.approx(-log_p[np.arange(len(labels)), labels].mean(), abs=1e-4)
        assert row[f"final_{part}_accuracy"] == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-6)
    assert row["gap"] == pytest.approx(row["final_test_loss"] - row["final_train_loss"], abs=1e-6)


def test_every_public_name_can_be_had() -> None:
    for name in bn.__all__:
        assert getattr(bn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bn.nothing  # noqa: B018


def test_the_import_is_light() -> None:
    heavy = {"jax", "flax", "tensorflow_datasets", "wandb", "matplotlib", "polars", "scipy", "pydantic"}
    code = "import sys, bn_ablate; print(*sorted(set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not heavy & set(loaded.stdout.split())
