"""Data sets of a user's own arrays: images or vectors, without a file or a name that TFDS knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine

import bn_ablate as bn
from bn_ablate.data import DataError, draw_split, moments

TABLE: dict[str, Any] = {
    "name": "x",
    "seeds": 2,
    "data": {"n_train": 60, "n_validation": 30, "n_test": 30},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 30, "batch_size": 20},
    "measure": {"every": 15},
}


def study(**changes: Any) -> bn.Study:
    return bn.build_study(TABLE | changes)


def test_vectors_of_floats_are_trained_on(tmp_path: Path) -> None:
    wine = load_wine()
    data = bn.Dataset.from_arrays(wine.data, wine.target, name="wine")
    assert (data.images.shape, data.images.dtype, data.n_classes) == ((178, 1, 1, 13), np.float32, 3)
    results = bn.run(study(axes={"placement": ["none", "pre"]}), tmp_path, data=data)
    assert results.manifest["data"]["name"] == results.study.data.name == "wine"
    assert results.manifest["data"]["sha256"] == data.sha256
    assert results.lanes["final_test_accuracy"].mean() > 0.8
    assert bn.run(study(axes={"placement": ["none", "pre"]}), tmp_path, data=data).lanes.equals(results.lanes)


def test_features_are_standardized_each_by_itself_and_around_their_mean() -> None:
    x = np.random.default_rng(0).normal([1e4, -1e-3], [1.0, 1e-5], (300, 2)).astype(np.float32)
    data = bn.Dataset.from_arrays(x, np.arange(300) % 2)
    settings = study().data
    split = draw_split(data, settings, 0)
    mean, std = moments(data, settings, split)
    train = x[split.train].astype(float)
    np.testing.assert_allclose(mean.ravel(), train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(std.ravel(), train.std(0), rtol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_is_mapped_from_a_file_is_read_from_there(tmp_path: Path, kind: Any, monkeypatch: Any) -> None:
    """In stretches, with the hash and the statistics of the same in memory."""
    x, y = np.random.default_rng(0).integers(0, 256, (150, 4, 5)).astype(kind), np.arange(150) % 3
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr("bn_ablate.data.mapped.CHUNK_BYTES", 7 * x[0].nbytes)
    data, held = (bn.Dataset.from_arrays(some, y) for some in (mapped, x))
    assert np.shares_memory(data.images, mapped)
    assert (data.sha256, data.extent) == (held.sha256, held.extent)
    assert data.extent.itemsize == x.itemsize
    settings = study().data
    of_both = (moments(some, settings, draw_split(some, settings, 1)) for some in (data, held))
    for found, expected in zip(*of_both, strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mapped, x)


def test_a_copy_on_write_keeps_what_was_written_to_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((60, 3), np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
    mapped[:] = np.arange(60)[:, None]
    data = bn.Dataset.from_arrays(mapped, np.arange(60) % 2)
    np.testing.assert_array_equal(data.images[:, 0, 0, 0], np.arange(60))
    mapped[7, 1] = np.nan
    with pytest.raises(DataError, match=r"x\[7\] holds values that are not finite"):
        bn.Dataset.from_arrays(mapped, np.arange(60) % 2)


def test_arrays_of_a_known_data_set_give_its_numbers(tmp_path: Path) -> None:
    digits = load_digits()
    data = bn.Dataset.from_arrays(digits.images.astype(np.uint8), digits.target, name="mine")
    ours, named = (bn.run(study(seeds=1), tmp_path / name, data=given) for name, given in (("a", data), ("b", None)))
    keys = ["lane_id"]
    assert ours.lanes.drop(keys).equals(named.lanes.drop(keys))
    assert ours.history.drop(keys).equals(named.history.drop(keys))
    assert set(ours.lanes["lane_id"]).isdisjoint(named.lanes["lane_id"])


def test_a_network_for_images_refuses_vectors(tmp_path: Path) -> None:
    data = bn.Dataset.from_arrays(np.zeros((150, 5)), np.arange(150) % 2)
    with pytest.raises(bn.ConfigError, match="cnn takes images, and arrays holds vectors"):
        bn.run(study(axes={"architecture": ["mlp", "cnn"], "depth": [2]}), tmp_path, data=data)
    assert not list(tmp_path.iterdir())


def test_a_plan_for_other_data_is_refused(tmp_path: Path) -> None:
    data = bn.Dataset.from_arrays(np.zeros((150, 5)), np.arange(150) % 2)
    with pytest.raises(bn.ConfigError, match="'arrays', and the plan is one for 'digits'"):
        bn.run(bn.make_plan(study()), tmp_path, data=data)


X, Y = np.zeros((6, 4), np.uint8), np.arange(6) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X.astype(int)}, "x is int64; uint8 and floats"),
        ({"x": X[0]}, "x has the shape"),
        ({"x": X[:0], "y": Y[:0]}, "x has the shape"),
        ({"y": Y[:5]}, "y is int64 of shape"),
        ({"y": Y.astype(float)}, "y is float64"),
        ({"y": Y - 1}, "whole numbers from 0"),
        ({"y": Y * 0}, "two classes or more"),
        ({"n_classes": 1}, "two classes or more"),
        ({"x": np.where(np.arange(24).reshape(6, 4) == 9, np.nan, 0.0)}, r"x\[2\] holds values that are not finite"),
        ({"x": X + 1e39}, r"x\[0\] holds values that are not finite numbers of float32"),
        ({"name": "a/b"}, "none for a data set"),
        ({"x_test": X}, "go together"),
        ({"x_test": X[:, :2], "y_test": Y}, "x_test has examples of shape"),
    ],
)
def test_what_is_no_data_set_is_refused(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        bn.Dataset.from_arrays(**{"x": X, "y": Y} | arrays)


def test_a_test_split_of_its_own_is_kept() -> None:
    data = bn.Dataset.from_arrays(X, Y, x_test=X[:4] + 1, y_test=Y[:4])
    assert (data.n_official_train, len(data.labels)) == (6, 10)
    assert (data.images[6:] == 1).all()
    X[0, 0] = 7  # a copy was taken
    assert data.images[0, 0, 0, 0] == 0
    X[0, 0] = 0
