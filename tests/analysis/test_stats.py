"""The statistics against hand computation, enumeration, and direct calls of SciPy."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from bn_ablate.analysis.judge import stats


def sample(n: int, seed: int = 0, shift: float = 0.0) -> stats.Vector:
    return np.random.default_rng(seed).normal(shift, 1.0, size=n)


def bca(d: stats.Vector) -> tuple[float, float]:
    """SciPy's BCa interval at the expanded level, which is said here in numbers."""
    n = len(d)
    level = 1 - 2 * scipy.stats.norm.cdf(-scipy.stats.t.ppf(0.98, n - 1) * math.sqrt(n / (n - 1)))
    interval = scipy.stats.bootstrap(
        (d,), np.mean, n_resamples=9999, confidence_level=level, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(interval.low), float(interval.high)


def students(d: stats.Vector) -> tuple[float, float]:
    low, high = scipy.stats.t.interval(0.95, len(d) - 1, d.mean(), scipy.stats.sem(d))
    return float(low), float(high)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("skew", [False, True])
def test_the_interval_is_bca_at_the_expanded_level_and_no_end_of_it_inside_students(seed: int, skew: bool) -> None:
    d = np.exp(sample(10, seed)) if skew else sample(10, seed)
    interval = stats.mean_interval(d)
    assert interval is not None
    assert interval.low == pytest.approx(min(bca(d)[0], students(d)[0]))
    assert interval.high == pytest.approx(max(bca(d)[1], students(d)[1]))
    assert interval.method == ("BCa bootstrap, 9999 resamples, level expanded for 10 seeds; no end inside Student's t")
    assert stats.mean_interval(d) == interval
    assert stats.expanded_level(10) == pytest.approx(0.98853, abs=1e-5)


def halls(d: np.ndarray) -> tuple[float, float]:
    """Hall's interval by a search for the ends: where `g` of the studentized mean is Student's quantile."""
    n, mean, spread = len(d), d.mean(), d.std(ddof=1)
    k = ((d - mean) ** 3).mean() / spread**3
    quantile = scipy.stats.t.ppf(0.98, n - 1) / math.sqrt(n)

    def g(mu: float) -> float:
        x = (mean - mu) / spread
        return float(x + k * x**2 / 3 + k**2 * x**3 / 27 + k / (6 * n))

    far = 50 * spread
    low, high = (
        scipy.optimize.brentq(lambda mu, q=q: g(mu) - q, mean - far, mean + far) for q in (quantile, -quantile)
    )
    return float(low), float(high)


@pytest.mark.parametrize("n", [5, 7, 9])
@pytest.mark.parametrize("skew", [-1.0, 1.0])
def test_below_ten_seeds_no_end_of_the_interval_lies_inside_halls(n: int, skew: float) -> None:
    d = skew * np.random.default_rng(n).exponential(size=n)
    interval = stats.mean_interval(d)
    assert interval is not None
    assert interval.low == pytest.approx(min(bca(d)[0], halls(d)[0]))
    assert interval.high == pytest.approx(max(bca(d)[1], halls(d)[1]))
    assert interval.method.endswith("no end inside Hall's skewed t")


def test_without_skew_halls_interval_is_students() -> None:
    d = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    reach = scipy.stats.t.ppf(0.98, 4) * scipy.stats.sem(d)
    assert stats.halls_reach(d) == pytest.approx((reach, reach))
    assert stats.halls_reach(np.full(5, 0.1)) == (0.0, 0.0)
    nearly = stats.halls_reach(d + np.array([0, 0, 0, 0, 1e-4]))
    assert nearly == pytest.approx((reach, reach), rel=1e-3)


def test_the_interval_of_a_statistic_of_means() -> None:
    d = sample(12)
    columns = np.stack([d, -d], axis=1)
    assert stats.interval(columns, lambda means: means[..., 0]) == stats.mean_interval(d)
    squared = stats.interval(columns, lambda means: (1 + means[..., 0]) ** 2)
    assert squared is not None
    values = 12 * (1 + d.mean()) ** 2 - 11 * np.array([(1 + np.delete(d, i).mean()) ** 2 for i in range(12)])
    half = scipy.stats.t.ppf(0.975, 11) * scipy.stats.sem(values)
    bca_ends = [(1 + end) ** 2 for end in bca(d)]  # BCa respects monotone changes of scale
    assert squared.low == pytest.approx(min(bca_ends[0], (1 + d.mean()) ** 2 - half), rel=1e-2)
    assert squared.high == pytest.approx(max(bca_ends[1], (1 + d.mean()) ** 2 + half), rel=1e-2)
    assert stats.interval(columns[:1], lambda means: means[..., 0]) is None


def test_pseudo_values_of_a_mean_are_its_values_and_of_a_square_by_hand() -> None:
    d = sample(6)
    assert stats.pseudo_values(d[:, np.newaxis], lambda means: means[..., 0]) == pytest.approx(d)
    squared = stats.pseudo_values(d[:, np.newaxis], lambda means: means[..., 0] ** 2)
    assert squared == pytest.approx([6 * d.mean() ** 2 - 5 * np.delete(d, i).mean() ** 2 for i in range(6)])


def test_interval_without_variance_is_the_point() -> None:
    interval = stats.mean_interval(np.full(10, 0.1) + np.array([0, 1e-17] * 5))
    assert interval is not None
    assert interval.low == interval.high == pytest.approx(0.1)
    assert interval.method.startswith("point")


def test_interval_from_few_seeds_is_students() -> None:
    d = sample(4)
    interval = stats.mean_interval(d)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(students(d))
    assert "Student" in interval.method
    assert stats.mean_interval(d[:1]) is None


def test_interval_falls_back_to_percentiles_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = scipy.stats.bootstrap

    def without_bca(*args: object, method: str, **kwargs: object) -> object:
        if method == "BCa":
            return SimpleNamespace(confidence_interval=(math.nan, math.nan))
        return bootstrap(*args, method=method, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(scipy.stats, "bootstrap", without_bca)
    interval = stats.mean_interval(sample(10))
    assert interval is not None
    assert interval.low < interval.high
    assert interval.method.startswith("percentile bootstrap")
    assert "BCa could not be had" in interval.method


@pytest.mark.parametrize("d", [[1.0, 2.0, 3.0], [3.0, 1.0, -1.0], list(sample(9, 1, 0.5)), [0.0, 0.0, 1.0, 1.0]])
def test_sign_flip_is_exact(d: list[float]) -> None:
    flips = np.array(list(itertools.product([1, -1], repeat=len(d))))
    means = (flips * np.array(d)).mean(axis=1)
    one_sided = min(np.mean(means >= np.mean(d) - 1e-12), np.mean(means <= np.mean(d) + 1e-12))
    test = stats.sign_flip_p(np.array(d))
    assert test.p == pytest.approx(min(1.0, 2 * one_sided))
    assert test.method == f"exact sign-flip, {2 ** len(d)} assignments"


def test_smallest_p_of_ten_seeds() -> None:
    assert stats.sign_flip_p(np.arange(1.0, 11.0)).p == 2 / 1024


def test_sign_flip_of_many_seeds_is_monte_carlo() -> None:
    d = sample(30, shift=0.4)
    test = stats.sign_flip_p(d)
    assert test.method == "Monte Carlo sign-flip, 9999 assignments"
    assert test.p == pytest.approx(scipy.stats.ttest_1samp(d, 0).pvalue, abs=0.02)
    assert stats.sign_flip_p(d) == test


def test_tost_by_hand() -> None:
    d, margin = sample(12, shift=0.1), 1.0
    error = d.std(ddof=1) / math.sqrt(12)
    above = scipy.stats.t.sf((d.mean() + margin) / error, 11)
    below = scipy.stats.t.cdf((d.mean() - margin) / error, 11)
    assert stats.tost_p(d, margin).p == pytest.approx(max(above, below))
    assert stats.tost_p(np.zeros(10), 0.01).p == 0.0
    assert stats.tost_p(np.full(10, 0.02), 0.01).p == 1.0


def test_swapping_single_columns_is_flipping_signs() -> None:
    d = sample(9, shift=0.4)
    b = sample(9, seed=1)[:, np.newaxis]
    swapped = stats.swap_p(d[:, np.newaxis] + b, b, lambda means: means[..., 0] - means[..., 1])
    assert swapped.p == pytest.approx(stats.sign_flip_p(d).p)
    assert swapped.method == "exact sign-flip of whole curves, 512 assignments"


def test_swapping_curves_by_enumeration() -> None:
    a, b = np.random.default_rng(4).normal(size=(2, 6, 3)) + np.arange(3) * [[[1.0]], [[-0.5]]]

    def shift(means: stats.Vector) -> stats.Vector:
        return np.asarray(np.argmax(means[..., :3], axis=-1) - np.argmax(means[..., 3:], axis=-1), dtype=float)

    found = []
    for keep in itertools.product([True, False], repeat=6):
        kept = np.array(keep)[:, np.newaxis]
        sides = np.where(kept, a, b).mean(axis=0), np.where(kept, b, a).mean(axis=0)
        found.append(float(shift(np.concatenate(sides))))
    one_sided = min(np.mean(np.array(found) >= found[0]), np.mean(np.array(found) <= found[0]))
    assert stats.swap_p(a, b, shift).p == pytest.approx(min(1.0, 2 * one_sided))


def test_equivalence_is_tested_against_the_nearer_bound_where_the_mean_lies_outside() -> None:
    d = sample(10, shift=0.1)
    assert stats.equivalence_p(d, 2.0) == stats.tost_p(d, 2.0)
    for sign in (1, -1):
        outside = stats.equivalence_p(sign * (d + 3.0), 2.0)
        assert outside.p == stats.sign_flip_p(d + 1.0).p
        assert outside.method == "exact sign-flip, 1024 assignments, against the margin: the mean lies outside"


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_effect_size_by_hand() -> None:
    assert stats.effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert stats.effect_size(np.ones(3)) is None


def test_seeds_needed_by_hand() -> None:
    d = np.array([1.0, -1.0] * 5) * math.sqrt(0.9)  # standard deviation 1
    expected = math.ceil((2.2414 + 0.8416) ** 2 / 0.25**2)  # z(1 - .0125), z(.8)
    assert stats.seeds_needed(d, 0.25, family=2) == expected == 153
    assert stats.seeds_needed(d, 100.0, family=2) == 7  # 2 / 2⁷ is the first below .025
    assert stats.seeds_needed(d, 0.5, family=1, both_sides=True) == math.ceil((1.6449 + 1.2816) ** 2 / 0.25)
    assert stats.seeds_needed(d, 0.0, family=1) is None
    assert stats.seeds_needed(d, 1e-9, family=1) is None
    assert stats.seeds_needed(np.ones(5), 1.0, family=1) is None
