"""Lanes are trained on the images of augmentation and on random labels, the same whatever lanes stand beside them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.data.augmentation import crop_flip
from bn_ablate.engine import Engine, shards_of
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.randomness import key_of
from bn_ablate.nn import lane_factors
from bn_ablate.plan import make_plan
from bn_ablate.runs.one_lane import TrainedLane
from tests.engine import reference

STEPS = 6
TABLE: dict[str, Any] = {
    "name": "augmented",
    "seeds": 2,
    "data": {
        "n_train": 60,
        "n_validation": 20,
        "n_test": 30,
        "augment": "crop_flip",
        "augment_size": 2,
        "random_labels": 0.5,
    },
    "model": {"depth": 1, "width": 8, "activation": "tanh"},
    "train": {"steps": STEPS, "batch_size": 16, "learning_rate": 0.1},
    "measure": {"every": 4, "probe": 16},
}


@pytest.fixture(scope="module")
def lane() -> TrainedLane:
    return bn.train_lane(bn.build_study(TABLE), {"learning_rate": 0.1}, seed=1)


def test_a_batch_is_that_of_the_seed_and_the_step(lane: TrainedLane) -> None:
    seed = SeedExamples(lane.mean, lane.std, np.int32(1))  # type: ignore[arg-type]
    examples = Examples(jnp.asarray(lane.dataset.images), jnp.asarray(lane.dataset.labels))
    for step in (0, STEPS - 1):
        plain, labels = jax.jit(Examples.take)(examples, lane.split.train[lane.batch_indices[step]], seed)
        images = lane.batch(step).images
        np.testing.assert_array_equal(images, crop_flip(plain, key_of(1, "augment", step), 2))
        np.testing.assert_array_equal(labels, lane.dataset.labels[lane.split.train[lane.batch_indices[step]]])
        np.testing.assert_array_equal(lane.batch(step).labels, lane.labels[lane.split.train[lane.batch_indices[step]]])
        assert (lane.batch(step).labels != np.asarray(labels)).any()
        assert (images != np.asarray(plain)).mean() > 0.3


def test_a_lane_is_trained_on_its_batches(lane: TrainedLane) -> None:
    """In NumPy, from what `train_lane` gives."""
    batches = [lane.batch(step) for step in range(STEPS)]
    flat = [(images.reshape(len(images), -1).astype(float), labels) for images, labels in batches]
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), lane.initial.params)
    want, _, _ = reference.train(lane.cell.settings, params, flat, [lane.noise(step) for step in range(STEPS)])
    for got, expected in zip(jax.tree.leaves(lane.state.params), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_it_is_measured_on_the_labels_that_it_is_trained_on(lane: TrainedLane) -> None:
    """And on validation and test by their own."""
    variables = {"params": lane.state.params, "batch_stats": lane.state.batch_stats}
    factors = lane_factors(lane.cell.settings, lane.program.structure)
    predict = jax.jit(lambda x: lane.program.network.apply(variables, x, factors, train=False))
    for part in ("train", "validation", "test"):
        images, labels = lane.examples(part)  # type: ignore[arg-type]
        hits = np.argmax(np.asarray(predict(images)), 1) == labels
        assert lane.tables["lanes"][f"final_{part}_accuracy"][0] == pytest.approx(hits.mean(), abs=1e-6)
        own = lane.dataset.labels[getattr(lane.split, part)]
        assert (labels == own).all() == (part != "train")


@pytest.mark.slow  # tests/engine/test_lanes.py asks it of lanes without
@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_the_lanes_beside_it_change_nothing(lane: TrainedLane, strategy: Any) -> None:
    """Four lanes at once, in segments of other lengths."""
    (shard,) = shards_of(make_plan(bn.build_study(TABLE | {"axes": {"learning_rate": [0.05, 0.1]}})))
    outcome = Engine(load("digits"), strategy).run(shard, keep_states=True)
    (seed,), (cell,) = np.where(np.asarray(shard.seeds) == 1)[0], [1]
    for got, want in zip(jax.tree.leaves(outcome.states), jax.tree.leaves(lane.state), strict=True):
        np.testing.assert_allclose(np.asarray(got)[seed, cell], want, rtol=1e-5, atol=1e-6)
