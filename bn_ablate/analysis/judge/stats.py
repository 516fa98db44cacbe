"""The statistics of paired differences: interval, tests, effect size, and the seeds that a decision would need.

Throughout, `d` is the vector of differences `(seeds,)`: one number per seed, finite. SciPy does the work; it imports
`scipy.stats` when that is first asked for, which takes longer than planning a small study.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from bn_ablate.analysis.judge import signs

Vector = NDArray[np.float64]
Statistic = Callable[[Vector], Vector]
"""From column means `(..., columns)` to a number `(...)`."""

ALPHA = 0.05
LEVEL = 0.95
RESAMPLES = 9999
EXACT_SEEDS = 14
"""Up to this many seeds all 2ⁿ sign assignments are counted; beyond it, `RESAMPLES` random ones."""
FEWEST_SEEDS = 5
SEEDS_THAT_COVER = 7
"""From this many seeds on intervals cover within 95 ± 2% of all that `scripts/calibration.py` draws, to its error."""
SEEDS_FOR_STUDENTS = 10
"""From this many seeds on Student's interval is the least that one may be; below, Hall's."""
_POWER = 0.8
_RAISED = 0.8
"""Of the error of an interval, what is asked of Student's quantile where it stands for skewed data: 96% for 95%."""
_NO_SKEW = 1e-6
_RANDOM_SEED = 0
_MOST_SEEDS = 1_000_000


class Terms(NamedTuple):
    """On what terms a hypothesis is estimated.

    Attributes:
        resamples: of the bootstrap, and random signs of a test.
        level: of the interval.
        share: of the error that a test has, where there are several looks.
        grouped: whether the signs of a test form a group, so that it is exact from any number of seeds (`signs`).
        bare: whether no interval is wanted, which takes longest.
    """

    resamples: int = RESAMPLES
    level: float = LEVEL
    share: float = 1.0
    grouped: bool = False
    bare: bool = False


FIXED = Terms()
"""Those of a study with a fixed number of seeds."""


class Interval(NamedTuple):
    """A confidence interval, and how it was made."""

    low: float
    high: float
    method: str


class Test(NamedTuple):
    """A p value, what it comes from, and whether it counts signs, so that few seeds give no small one."""

    p: float
    method: str
    by_signs: bool = True


def constant(d: Vector) -> bool:
    """Whether all differences are the same number, up to rounding."""
    return bool(np.ptp(d) <= max(1e-12 * np.abs(d).max(), 1e-15))


def t_quantile(n: int | Vector, level: float = LEVEL) -> Vector:
    """Student's t quantile of a two-sided interval from `n` values; NaN below two."""
    degrees = np.maximum(np.asarray(n, dtype=float) - 1, 0)
    return np.where(degrees > 0, stdtrit(np.maximum(degrees, 1), (1 + level) / 2), np.nan)


def mean_interval(d: Vector, terms: Terms = FIXED) -> Interval | None:
    """Interval for the mean of `d`: that of `interval`, for one column."""
    return interval(d[:, np.newaxis], lambda means: means[..., 0], terms)


def interval(columns: Vector, statistic: Statistic, terms: Terms = FIXED) -> Interval | None:
    """Interval for `statistic` of the means of `columns` `(seeds, columns)`; nothing from a single seed.

    Its level is that of `terms`, 95% as a rule. It is the BCa bootstrap over seeds, no end of it inside Student's
    interval. A bootstrap of n values is too narrow by about `sqrt((n - 1) / n)` and by the normal quantile in place of
    Student's, and BCa errs further where data are skewed. So the level asked of the bootstrap is expanded
    (`expanded_level`, after Hesterberg 2015). Where tails are heavy BCa shortens the wrong side now and then: there an
    end of Student's, `T ± t std(pseudo-values) / sqrt(n)`, lies further out and is taken. Below 10 seeds Student's
    falls short of skewed data, and Hall's (`halls_reach`) takes its place. `scripts/calibration.py` prints what all
    this covers.

    Where BCa cannot be had it is the percentile interval; from fewer than 5 seeds, Student's alone; where all seeds
    agree, the point. `method` says which.
    """
    n = len(columns)
    if n < 2 or terms.bare:
        return None
    at, values = float(statistic(columns.mean(axis=0))), pseudo_values(columns, statistic)
    half = 0.0 if constant(values) else float(t_quantile(n, terms.level)) * float(values.std(ddof=1)) / math.sqrt(n)
    if all(constant(column) for column in columns.T):
        return Interval(at, at, "point: all seeds agree")
    if n < FEWEST_SEEDS:
        return Interval(at - half, at + half, "Student's t: too few seeds to resample")
    found = _bootstrap(columns, statistic, terms)
    below, above, whose = half, half, "Student's t"
    if n < SEEDS_FOR_STUDENTS:
        (below, above), whose = halls_reach(values, terms.level), "Hall's skewed t"
    return Interval(min(found.low, at - below), max(found.high, at + above), f"{found.method}; no end inside {whose}")


def _raised(level: float) -> float:
    return round(1 - _RAISED * (1 - level), 12)


def expanded_level(n: int, level: float = LEVEL) -> float:
    """The level to ask of a bootstrap of `n` seeds: `1 - 2 Φ(-t sqrt(n / (n - 1)))`, t Student's 98% quantile.

    With the 97.5% quantile this gives 95% for normal data; the 98% one (a 96% interval) makes up for skewed data.
    """
    return 1 - 2 * float(ndtr(-float(t_quantile(n, _raised(level))) * math.sqrt(n / (n - 1))))


def halls_reach(values: Vector, level: float = LEVEL) -> tuple[float, float]:
    """How far an interval that allows for skewness reaches below and above the mean of `values` `(seeds,)` (Hall 1992).

    With skewness k and studentized mean x, `g(x) = x + k x² / 3 + k² x³ / 27 + k / (6 n)` is nearly symmetric. Its
    inverse, `g⁻¹(y) = 3 ((1 + k (y − k / (6 n)))^(1/3) − 1) / k`, takes Student's 98% quantiles over `sqrt(n)` back;
    the 98% ones for the reason given in `expanded_level`.
    """
    n, spread = len(values), float(values.std(ddof=1))
    if constant(values):
        return 0.0, 0.0
    k = float(np.mean((values - values.mean()) ** 3)) / spread**3
    y = float(t_quantile(n, _raised(level))) / math.sqrt(n) * np.array([1.0, -1.0])
    x = y if abs(k) < _NO_SKEW else 3 / k * (np.cbrt(1 + k * (y - k / (6 * n))) - 1)
    return float(spread * x[0]), float(-spread * x[1])


def _bootstrap(columns: Vector, statistic: Statistic, terms: Terms) -> Interval:
    def resampled(*drawn: Vector, axis: int) -> Vector:
        return statistic(np.stack([column.mean(axis=axis) for column in drawn], axis=-1))

    said = f"{terms.resamples} resamples, level expanded for {len(columns)} seeds"
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
            low, high = scipy.stats.bootstrap(
                tuple(columns.T),
                resampled,
                axis=-1,
                paired=True,
                n_resamples=terms.resamples,
                confidence_level=expanded_level(len(columns), terms.level),
                method=method,
                rng=np.random.default_rng(_RANDOM_SEED),
            ).confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            break
        said += "; BCa could not be had"
    return Interval(float(low), float(high), f"{method} bootstrap, {said}")


def pseudo_values(columns: Vector, statistic: Statistic) -> Vector:
    """Jackknife pseudo-values `n T − (n − 1) T₋ₛ` `(seeds,)` of `statistic` of the columns' means (Tukey 1958).

    What each seed contributes to an estimate that is not a mean; for a mean, its values themselves.
    """
    n = len(columns)
    without = np.stack([np.delete(columns, seed, axis=0).mean(axis=0) for seed in range(n)])
    return np.asarray(n * statistic(columns.mean(axis=0)) - (n - 1) * statistic(without))


def sign_flip_p(d: Vector, terms: Terms = FIXED) -> Test:
    """Two-sided p value of the mean of `d` under random signs: were `a` and `b` exchangeable, each sign were a coin.

    Exact up to 14 seeds; the smallest p (`smallest_p`) is then `2 / 2ⁿ`. With signs of a group it is exact from any.
    """
    n = len(d)
    if terms.grouped:
        p, counted = signs.flip_p(d, terms.resamples)
        return Test(p, f"exact sign-flip, {_counted(n, counted)}")
    exact = n <= EXACT_SEEDS
    assignments = 2**n if exact else terms.resamples
    method = f"{'exact' if exact else 'Monte Carlo'} sign-flip, {assignments} assignments"
    if exact and d.min() == d.max():  # two assignments give a mean so far from 0; of zeros all do
        return Test(2 / assignments if d[0] else 1.0, method)
    result = scipy.stats.permutation_test(
        (d,),
        np.mean,
        axis=-1,
        permutation_type="samples",
        n_resamples=assignments,
        rng=np.random.default_rng(_RANDOM_SEED),
    )
    return Test(float(result.pvalue), method)


def _counted(n: int, counted: int) -> str:
    return f"{counted} assignments" if counted == 2**n else f"{counted} assignments that form a group"


@cache
def smallest_p(n: int, terms: Terms = FIXED) -> float:
    """The smallest p value that signs of `n` seeds can give: that of seeds which all agree."""
    return sign_flip_p(np.ones(n), terms).p


def fewest_seeds(alpha: float) -> int | None:
    """The fewest seeds of which `smallest_p` lies below `alpha`; None where no number of them does."""
    return next((n for n in range(FEWEST_SEEDS, EXACT_SEEDS + 1) if smallest_p(n) < alpha), None)


def swap_p(a: Vector, b: Vector, statistic: Statistic, terms: Terms = FIXED) -> Test:
    """Two-sided p value of `statistic` of mean `a` and mean `b` when they change places within random seeds.

    `a` and `b` are `(seeds, columns)`, and `statistic` takes their means side by side. For the difference of two single
    columns it is the sign-flip test of it.
    """
    n = len(a)
    if terms.grouped:
        p, counted = signs.swap_p(a, b, statistic, terms.resamples)
        return Test(p, f"exact sign-flip of whole curves, {_counted(n, counted)}")
    both, half = np.concatenate([a, b]), a.shape[1]
    exact = n <= EXACT_SEEDS
    assignments = 2**n if exact else terms.resamples

    def of_seeds(first: NDArray[np.intp], second: NDArray[np.intp], axis: int) -> Vector:
        assert axis == -1
        means = np.empty((*first.shape[:-1], 2 * half))
        means[..., :half], means[..., half:] = both[first].mean(axis=-2), both[second].mean(axis=-2)
        return statistic(means)

    result = scipy.stats.permutation_test(
        (np.arange(n), np.arange(n, 2 * n)),
        of_seeds,
        axis=-1,
        vectorized=True,
        permutation_type="samples",
        n_resamples=assignments,
        rng=np.random.default_rng(_RANDOM_SEED),
    )
    kind = "exact" if exact else "Monte Carlo"
    return Test(float(result.pvalue), f"{kind} sign-flip of whole curves, {assignments} assignments")


def equivalence_p(d: Vector, margin: float, terms: Terms = FIXED) -> Test:
    """P value of the question whether the mean of `d` lies within `±margin`: small where that is clear, either way.

    Two one-sided tests where the mean lies within; a sign-flip test against the nearer bound where it does not.
    """
    mean = float(d.mean())
    if abs(mean) < margin:
        return tost_p(d, margin)
    test = sign_flip_p(d - math.copysign(margin, mean), terms)
    return Test(test.p, f"{test.method}, against the margin: the mean lies outside")


def tost_p(d: Vector, margin: float) -> Test:
    """P value of two one-sided paired t tests: small when the mean of `d` lies within `±margin` (Schuirmann 1987)."""
    if constant(d):
        return Test(
            float(abs(d.mean()) >= margin), "all seeds agree: the difference against the margin", by_signs=False
        )
    above = scipy.stats.ttest_1samp(d, -margin, alternative="greater").pvalue
    below = scipy.stats.ttest_1samp(d, margin, alternative="less").pvalue
    return Test(float(max(above, below)), f"two one-sided t tests, {len(d) - 1} degrees of freedom", by_signs=False)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of the p values of one family: `max over j ≤ i of (m − j + 1) p₍ⱼ₎`, at most 1."""
    p, n = np.asarray(p_values, dtype=float), len(p_values)
    order = np.argsort(p)
    adjusted = np.empty(n)
    adjusted[order] = np.minimum(np.maximum.accumulate(np.arange(n, 0, -1) * p[order]), 1.0)
    return [float(p) for p in adjusted]


def effect_size(d: Vector) -> float | None:
    """The standardized paired difference d_z, `mean(d) / std(d)` with n − 1 below; nothing without variance."""
    if len(d) < 2 or constant(d):
        return None
    return float(d.mean() / d.std(ddof=1))


def seeds_needed(d: Vector, distance: float, family: int, both_sides: bool = False) -> int | None:
    """Seeds for a decision with 80% power, were the mean and spread of `d` the true ones.

    Normal approximation: `((z(1 - α') + z(power)) · std / distance)²`, where `distance` is how far the mean lies from
    the bound it has to clear. α' is .05 / `family`, the hardest step of Holm, halved for a two-sided test. `both_sides`
    (equivalence) has two bounds to clear: α' is not halved, and the power is shared between them. A sign-flip test also
    needs its smallest p to lie below .05 / `family`. Nothing where no number of seeds up to a million would do.
    """
    if len(d) < 2 or constant(d) or distance <= 0:
        return None
    alpha = ALPHA / family
    fewest: int | None = FEWEST_SEEDS
    if both_sides:
        z = -ndtri(alpha) - ndtri((1 - _POWER) / 2)
    else:
        z, fewest = -ndtri(alpha / 2) - ndtri(1 - _POWER), fewest_seeds(alpha)
    wanted = (float(z) * float(d.std(ddof=1)) / distance) ** 2
    return max(fewest, math.ceil(wanted)) if fewest and wanted <= _MOST_SEEDS else None
