"""Aggregates against hand computation."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bn_ablate.analysis import (
    described,
    iqm,
    performance_profile,
    probability_of_improvement,
    scores_of,
)
from tests.synthetic import write_results

scores = arrays.arrays(np.float64, (4, 3), elements=st.integers(0, 5).map(float))


def test_iqm_by_hand() -> None:
    assert iqm(np.array([[100.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, -50.0]])) == (2 + 3 + 4 + 5) / 4
    assert iqm(np.arange(12.0).reshape(4, 3)) == np.arange(3.0, 9.0).mean()


@given(scores, scores)
def test_probability_of_improvement_counts_pairs(x: np.ndarray, y: np.ndarray) -> None:
    pairs = [
        np.mean([(a > b) + 0.5 * (a == b) for a, b in itertools.product(x[:, cell], y[:, cell])]) for cell in range(3)
    ]
    assert probability_of_improvement(x, y) == pytest.approx(np.mean(pairs))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1.0)


def test_performance_profile_by_hand() -> None:
    runs = np.array([[0.1, 0.5], [0.5, 0.9]])
    assert performance_profile(runs, np.array([0.0, 0.1, 0.5, 0.9])).tolist() == [1.0, 0.75, 0.25, 0.0]


def test_the_stratified_bootstrap_keeps_cells_apart() -> None:
    apart = np.array([[0.0, 10.0]] * 5) + np.arange(5.0)[:, np.newaxis]

    def spread_of_cells(values: np.ndarray) -> float:
        return float(values[:, 1].mean() - values[:, 0].mean())

    by_cell = described(spread_of_cells, apart, resamples=999)
    assert by_cell.value == 10.0
    assert 10 - 2.6 < by_cell.low < 9.0 < 11.0 < by_cell.high < 10 + 2.6  # 1.96 · sqrt(2) · sd / sqrt(5) = 1.75
    by_seed = described(spread_of_cells, apart, shared_seeds=True, resamples=99)
    assert by_seed.low == by_seed.high == 10.0
    assert described(spread_of_cells, apart, resamples=999) == by_cell


def test_intervals_of_a_mean_and_of_a_profile() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(1.0, 1.0, size=(2, 10, 4))
    found = described(np.mean, x, resamples=1999)
    by_cell = x.std(axis=0) / np.sqrt(10)
    half = 1.96 * np.sqrt((by_cell**2).sum()) / 4
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half), abs=0.03)
    better = described(probability_of_improvement, x, y, resamples=199)
    assert better.low < better.value < better.high
    profile = described(lambda v: performance_profile(v, np.array([-9.0, 1.0, 9.0])), x, resamples=199)
    assert profile.value[[0, 2]].tolist() == profile.low[[0, 2]].tolist() == [1.0, 0.0]
    assert profile.low[1] < profile.value[1] < profile.high[1]


def test_scores_of_results(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    results = write_results(tmp_path, {"name": "x", "seeds": 3, "axes": axes})
    found = scores_of(results, "gap", {"placement": "pre"})
    assert found.shape == (3, 2)
    lanes = results.lanes.filter(placement="pre", dropout_rate=0.5).sort("seed")
    assert found[:, 1].tolist() == lanes["gap"].to_list()
