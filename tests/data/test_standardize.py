import numpy as np
import pytest

from bn_ablate.config.training_keys import Data
from bn_ablate.data import Dataset, Split, draw_split, moments


@pytest.fixture
def colour():
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3), dtype=np.uint8)
    images[:, 1, 2, 0] = 200
    return Dataset("colour", "1.0.0", images, np.arange(50, dtype=np.int32) % 5, 5, 50, "")


@pytest.mark.parametrize(("kind", "axes", "shape"), [("channel", (0, 1, 2), (1, 1, 3)), ("feature", 0, (4, 5, 3))])
def test_moments_are_those_of_the_training_images(colour, monkeypatch, kind, axes, shape):
    monkeypatch.setattr("bn_ablate.data.standardize._CHUNK", 7)
    split = draw_split(colour, Data(), 3)
    train = colour.images[split.train].astype(np.float64)
    expected_mean, expected_std = (f(axis=axes, keepdims=True)[0] for f in (train.mean, train.std))
    mean, std = moments(colour, Data(standardize=kind), split)
    assert mean.shape == std.shape == shape
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-6)
    np.testing.assert_allclose(std, np.where(expected_std > 0, expected_std, 1), rtol=1e-6)


def test_other_examples_do_not_matter(colour):
    split = draw_split(colour, Data(), 0)
    before = moments(colour, Data(), split)
    colour.images[np.concatenate([split.validation, split.test])] = 255
    assert all(map(np.array_equal, before, moments(colour, Data(), split)))


def test_a_constant_feature_becomes_zero(colour):
    split = draw_split(colour, Data(), 0)
    mean, std = moments(colour, Data(standardize="feature"), split)
    assert (mean[1, 2, 0], std[1, 2, 0]) == (200.0, 1.0)
    assert ((colour.images[:, 1, 2, 0] - mean[1, 2, 0]) / std[1, 2, 0] == 0).all()


def test_a_constant_feature_is_found_among_many_images():
    images = np.full((10_007, 1, 1, 1), 251, np.uint8)
    dataset = Dataset("flat", "1.0.0", images, np.zeros(10_007, np.int32), 1, 10_007, "")
    everything = Split(*[np.arange(10_007, dtype=np.int32)] * 3)
    assert [float(x.item()) for x in moments(dataset, Data(), everything)] == [251.0, 1.0]
    images[5000] = 252
    _, std = moments(dataset, Data(), everything)
    np.testing.assert_allclose(std.item(), images.astype(np.float64).std(), rtol=1e-6)


def test_none_leaves_the_raw_values(colour):
    mean, std = moments(colour, Data(standardize="none"), draw_split(colour, Data(), 0))
    assert mean.shape == std.shape == (1, 1, 3)
    assert (mean == 0).all()
    assert (std == 1).all()


def test_unit_scales_bytes_to_one_and_leaves_floats(colour):
    split = draw_split(colour, Data(), 0)
    mean, std = moments(colour, Data(standardize="unit"), split)
    assert mean.shape == std.shape == (1, 1, 3)
    assert ((mean == 0).all(), (std == 255).all()) == (True, True)
    floats = Dataset.from_arrays(np.ones((50, 4), np.float32), colour.labels)
    assert [float(x.max()) for x in moments(floats, Data(standardize="unit"), split)] == [0.0, 1.0]


def test_digits_standardize_to_zero_mean_and_unit_variance(digits):
    split = draw_split(digits, Data(n_train=300), 0)
    mean, std = moments(digits, Data(), split)
    train = (digits.images[split.train] - mean) / std
    assert abs(train.mean()) < 1e-6
    assert abs(train.std() - 1) < 1e-6
