"""Random labels are drawn from the seed alone, for as many training examples as were asked for, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from bn_ablate.config.training_keys import Data
from bn_ablate.data import Dataset, draw_split, with_random_labels

N, CLASSES = 6000, 5
MADE = Dataset.from_arrays(np.zeros((N, 2)), np.arange(N) % CLASSES)


def drawn(share: float, seed: int = 1, **sizes: int) -> np.ndarray:
    """The labels of all examples."""
    settings = Data(random_labels=share, **sizes)  # type: ignore[arg-type]
    return with_random_labels(MADE, settings, draw_split(MADE, settings, seed), seed)


def test_without_a_share_labels_are_their_own() -> None:
    np.testing.assert_array_equal(drawn(0.0), MADE.labels)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_a_share_of_the_training_examples_get_labels_of_all_classes_alike(share: float) -> None:
    """Of those that are drawn one in five is its own by chance; counts lie within 4 standard deviations."""
    split, labels = draw_split(MADE, Data(), 1), drawn(share)
    for part in (split.validation, split.test):
        np.testing.assert_array_equal(labels[part], MADE.labels[part])
    n = round(share * split.train.size)
    changed = split.train[labels[split.train] != MADE.labels[split.train]]
    assert abs(changed.size - 0.8 * n) < 4 * np.sqrt(n * 0.8 * 0.2)
    moved = (labels - MADE.labels)[changed] % CLASSES
    counts = np.bincount(moved, minlength=CLASSES)
    assert counts[0] == 0
    assert np.abs(counts[1:] - changed.size / 4).max() < 4 * np.sqrt(changed.size * 0.25 * 0.75)


def test_a_smaller_share_is_part_of_a_larger_one_and_seeds_differ() -> None:
    few, many, other = drawn(0.2), drawn(0.6), drawn(0.2, seed=2)
    changed = few != MADE.labels
    np.testing.assert_array_equal(many[changed], few[changed])
    assert (many != MADE.labels).sum() > 2 * changed.sum()
    assert (other != few).mean() > 0.05


def test_what_is_drawn_for_an_example_does_not_depend_on_how_many_there_are() -> None:
    """All training examples drawn: those of a smaller training set have the same labels in a larger one."""
    sizes = {"n_validation": 500, "n_test": 500}
    small, large = draw_split(MADE, Data(n_train=1000, **sizes), 1), draw_split(MADE, Data(n_train=4000, **sizes), 1)  # type: ignore[arg-type]
    both = np.intersect1d(small.train, large.train)
    assert both.size > 500
    np.testing.assert_array_equal(drawn(1.0, n_train=1000, **sizes)[both], drawn(1.0, n_train=4000, **sizes)[both])
