import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.data import batch_indices
from bn_ablate.data.permutation import permutation

N_TRAIN = st.integers(1, 50)
BATCH = st.integers(1, 120)
SEED = st.integers(0, 2**31 - 1)


@given(N_TRAIN, BATCH, SEED, st.integers(1, 30))
def test_every_example_comes_once_an_epoch(n_train, batch_size, seed, steps):
    stream = batch_indices(n_train, batch_size, seed, 0, steps).reshape(-1)
    whole = stream.size // n_train
    epochs = stream[: whole * n_train].reshape(whole, n_train)
    assert (np.sort(epochs, axis=1) == np.arange(n_train)).all()
    rest = stream[whole * n_train :]
    assert np.unique(rest).size == rest.size


@given(N_TRAIN, BATCH, SEED, st.integers(0, 10**12), st.integers(1, 8), st.integers(1, 8))
def test_a_step_does_not_depend_on_where_the_segment_starts(n_train, batch_size, seed, start, first, second):
    whole = batch_indices(n_train, batch_size, seed, start, first + second)
    parts = [
        batch_indices(n_train, batch_size, seed, start, first),
        batch_indices(n_train, batch_size, seed, start + first, second),
    ]
    assert whole.shape == (first + second, batch_size)
    assert whole.dtype == np.int32
    assert np.array_equal(whole, np.concatenate(parts))


def test_batches_are_stretches_of_the_epochs():
    stream = np.concatenate([permutation(5, "batches", 7, epoch) for epoch in range(3)])
    assert np.array_equal(batch_indices(5, 4, 7, 1, 2), stream[4:12].reshape(2, 4))
    assert np.array_equal(batch_indices(5, 15, 7, 0, 1), stream[:15].reshape(1, 15))


def test_seeds_and_epochs_have_orders_of_their_own():
    epochs = batch_indices(100, 100, 0, 0, 5)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert not np.array_equal(epochs, batch_indices(100, 100, 1, 0, 5))


def test_every_position_is_equally_likely_to_hold_an_example():
    """Over 6000 epochs of 6 examples, a count lies within 5 standard deviations of 1000."""
    epochs = batch_indices(6, 6, 0, 0, 6000)
    counts = np.stack([np.bincount(epochs[:, position], minlength=6) for position in range(6)])
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(6000 * (1 / 6) * (5 / 6))


@pytest.mark.parametrize(
    "wrong", [{"n_train": 0}, {"batch_size": 0}, {"steps": 0}, {"start": -1}, {"seed": -1}], ids=lambda d: next(iter(d))
)
def test_senseless_arguments_are_refused(wrong):
    arguments = {"n_train": 10, "batch_size": 4, "seed": 0, "start": 0, "steps": 1} | wrong
    ((key, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{key} = {value}"):
        batch_indices(**arguments)
