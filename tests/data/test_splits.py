from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.config.training_keys import Data
from bn_ablate.data import DataError, Dataset, draw_split, draw_splits
from bn_ablate.data.splits import apportion

SEED = st.integers(0, 2**31 - 1)


def toy(labels, n_official_train=None):
    labels = np.asarray(labels, np.int32)
    return Dataset(
        name="toy",
        version="1.0.0",
        images=np.zeros((labels.size, 1, 1, 1), np.uint8),
        labels=labels,
        n_classes=6,
        n_official_train=labels.size if n_official_train is None else n_official_train,
        sha256="",
    )


def hamilton(n, counts):
    """Largest remainders in exact fractions, seat by seat."""
    quotas = [Fraction(n * count, sum(counts)) for count in counts]
    seats = [int(quota) for quota in quotas]
    while sum(seats) < n:
        best = max(
            range(len(seats)), key=lambda i: (quotas[i] - int(quotas[i]) if seats[i] == int(quotas[i]) else -1, -i)
        )
        seats[best] += 1
    return seats


def class_counts(dataset, indices):
    return np.bincount(dataset.labels[indices], minlength=dataset.n_classes).tolist()


@st.composite
def asked_of_a_pool(draw):
    """Labels in any order, and sizes of test, validation and train that fit."""
    labels = draw(st.lists(st.integers(0, 5), min_size=3, max_size=60))
    n_test = draw(st.integers(1, len(labels) - 2))
    n_validation = draw(st.integers(0, len(labels) - n_test - 1))
    n_train = draw(st.integers(1, len(labels) - n_test - n_validation))
    return toy(labels), Data(n_train=n_train, n_validation=n_validation, n_test=n_test)


@given(asked_of_a_pool(), SEED)
def test_parts_are_disjoint_sized_and_stratified(asked, seed):
    dataset, settings = asked
    split = draw_split(dataset, settings, seed)
    assert [part.size for part in split] == [settings.n_train, settings.n_validation, settings.n_test]
    everything = np.concatenate(split)
    assert np.unique(everything).size == everything.size
    assert everything.min() >= 0
    assert everything.max() < dataset.labels.size
    left = class_counts(dataset, np.arange(dataset.labels.size))
    for part in (split.test, split.validation, split.train):
        assert part.dtype == np.int32
        assert (np.diff(part) > 0).all()
        share = hamilton(part.size, left)
        assert class_counts(dataset, part) == share
        left = [there - taken for there, taken in zip(left, share, strict=True)]


@given(asked_of_a_pool(), SEED)
def test_test_and_validation_do_not_depend_on_n_train(asked, seed):
    dataset, settings = asked
    few = draw_split(dataset, settings.model_copy(update={"n_train": 1}), seed)
    many = draw_split(dataset, settings, seed)
    rest = draw_split(dataset, settings.model_copy(update={"n_train": None}), seed)
    assert np.array_equal(few.test, many.test)
    assert np.array_equal(few.validation, many.validation)
    assert np.array_equal(rest.test, many.test)
    assert sum(part.size for part in rest) == dataset.labels.size


def test_apportionment_by_hand():
    """Quotas 4.7, 1.6, 1.6, 1.58, 0.52 of 10 seats: whole seats 4, 1, 1, 1, 0, then the three largest remainders."""
    assert apportion(10, np.array([470, 160, 160, 158, 52])).tolist() == [5, 2, 2, 1, 0]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any), st.data())
def test_apportionment_against_fractions(counts, data):
    n = data.draw(st.integers(0, sum(counts)))
    shares = apportion(n, np.array(counts))
    assert shares.tolist() == hamilton(n, counts)
    assert (shares <= counts).all()


def test_default_sizes(digits):
    def sizes(**keys):
        return tuple(part.size for part in draw_split(digits, Data(**keys), 0))

    assert sizes() == (1199, 299, 299)
    assert sizes(n_train=300) == (300, 299, 1198)
    assert sizes(n_test=500) == (998, 299, 500)
    assert sizes(n_validation=97) == (1401, 97, 299)
    assert sizes(n_validation=0) == (1498, 0, 299)
    assert sizes(n_train=300, n_test=500) == (300, 299, 500)


def test_seeds_draw_differently_and_again_the_same(digits):
    settings = Data(n_train=300)
    splits = draw_splits(digits, settings, (3, 0, 8))
    assert [part.shape for part in splits] == [(3, 300), (3, 299), (3, 1198)]
    for row, seed in enumerate((3, 0, 8)):
        for part, alone in zip(splits, draw_split(digits, settings, seed), strict=True):
            assert np.array_equal(part[row], alone)
    for part in splits:
        assert len({tuple(row) for row in part}) == 3
        assert len({tuple(class_counts(digits, row)) for row in part}) == 1


def test_every_example_is_equally_likely_to_be_drawn():
    """Each of 20 examples of a class comes into a test set of 5 in a quarter of 4000 draws, within 5 deviations."""
    dataset = toy([0, 1] * 20)
    tests = draw_splits(dataset, Data(n_train=20, n_validation=10, n_test=10), range(4000)).test
    counts = np.bincount(tests.reshape(-1), minlength=40)
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(4000 * 0.25 * 0.75)


def test_fixed_is_the_seeded_draw_of_seed_0(digits):
    fixed = draw_splits(digits, Data(n_train=300, split="fixed"), (0, 1, 2))
    for part, seeded in zip(fixed, draw_split(digits, Data(n_train=300), 0), strict=True):
        assert (part == seeded).all()


def test_official_keeps_the_data_sets_own_test_split():
    dataset = toy([0, 1, 2] * 40, n_official_train=90)
    settings = Data(split="official", n_train=30)
    first, second = draw_split(dataset, settings, 0), draw_split(dataset, settings, 1)
    for split in (first, second):
        assert split.test.tolist() == list(range(90, 120))
        assert split.validation.size == 15
        assert max(split.train.max(), split.validation.max()) < 90
        assert np.intersect1d(split.train, split.validation).size == 0
        assert class_counts(dataset, split.train) == [10, 10, 10, 0, 0, 0]
    assert not np.array_equal(first.train, second.train)
    assert draw_split(dataset, Data(split="official"), 0).train.size == 75


def test_official_with_n_test_takes_the_same_part_for_every_seed():
    dataset = toy([0, 1, 2] * 40, n_official_train=90)
    tests = draw_splits(dataset, Data(split="official", n_test=6), range(5)).test
    assert (tests == tests[0]).all()
    assert tests.min() >= 90
    assert class_counts(dataset, tests[0]) == [2, 2, 2, 0, 0, 0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"n_train": 1700}, r"digits has 1797 examples.*n_train = 1700 and data.n_validation = 299 leave none.*n_test"),
        ({"n_test": 1797}, r"n_validation = 299 and data.n_test = 1797 leave none for data.n_train"),
        ({"n_train": 1000, "n_test": 900}, r"n_train = 1000 .* data.n_test = 900 come to 2199"),
        ({"split": "official"}, r'"official": digits has no test split .* use "seeded" or "fixed"'),
    ],
)
def test_what_does_not_fit_is_refused(digits, keys, message):
    with pytest.raises(DataError, match=message):
        draw_split(digits, Data(**keys), 0)


def test_official_sizes_are_checked_against_each_official_split():
    dataset = toy([0, 1, 2] * 40, n_official_train=90)
    with pytest.raises(DataError, match=r"toy has 30 official test examples, but data.n_test = 31 come"):
        draw_split(dataset, Data(split="official", n_test=31), 0)
    with pytest.raises(DataError, match=r"toy has 90 official train examples.*n_train = 80 and data.n_validation = 15"):
        draw_split(dataset, Data(split="official", n_train=80), 0)
