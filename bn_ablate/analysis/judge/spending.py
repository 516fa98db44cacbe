"""How the error of a hypothesis is spent over the looks of a study whose seeds go on until it is decided.

With looks at n₁ < … < n_K seeds, a test of look k has the share `f(t_k) − f(t_{k−1})` of the error, where
`t_k = n_k / n_K` and `f(t) = t`: as much of the error is spent by a look as of the seeds (Lan & DeMets 1983; the power
family of Kim & DeMets 1987 with ρ = 1). What is spent is added up (Bonferroni over the looks), and nothing is made of
how looks depend on each other: so a test that is exact at a look stays exact over all of them.

Intervals are repeated confidence intervals (Jennison & Turnbull 1984, 1989), whose error is spent as `f(t) = t²`: they
hold at all looks at once with at least 95%, whatever ends a hypothesis, and at the last look they are nearly those of a
fixed number of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.special import ndtr, ndtri

from bn_ablate.analysis.judge.stats import ALPHA, Terms, Vector, constant, t_quantile

TESTS, INTERVALS = 1.0, 2.0
"""The power ρ of `f(t) = t^ρ`."""
LIKELY = 0.8
"""The level of the interval within which the true difference is looked for that makes a decision likeliest."""


def shares(looks: Sequence[int], power: float = TESTS) -> tuple[float, ...]:
    """The share of the error that each of `looks`, seeds ascending, has; they add up to 1."""
    spent = [0.0, *((n / looks[-1]) ** power for n in looks)]
    return tuple(after - before for before, after in pairwise(spent))


def spent(looks: Sequence[int], number: int) -> float:
    """The share of the error that tests have spent once look `number`, from 1 on, was taken."""
    return float((looks[number - 1] / looks[-1]) ** TESTS)


def terms_of(looks: Sequence[int], number: int, resamples: int) -> Terms:
    """On what terms hypotheses are estimated at look `number`, from 1 on."""
    level = 1 - ALPHA * shares(looks, INTERVALS)[number - 1]
    return Terms(resamples, level, shares(looks)[number - 1], grouped=True)


def at_once(p: float, share: float) -> float:
    """The p value of a look as one of all looks: `p / share`, at most 1.

    The smallest of those of the looks taken is a p value whatever made an end of them: it lies below α with
    probability `Σ α share_k = α` at most, and for every α.
    """
    return min(1.0, p / share)


def chance_of_equivalence(d: Vector, margin: float, last: int, alpha: float) -> float:
    """The greatest chance that `last` seeds decide whether the mean of `d` `(seeds,)` lies within `±margin`.

    Conditional power (Lan, Simon & Halperin 1982): given the n seeds that there are, the mean of N = `last` is normal
    around `(n d̄ + (N − n) θ) / N`, with variance `s² (N − n) / N²`. It is decided if it clears a bound by the normal
    quantile of `alpha` times `s / sqrt(N)`, inside for two one-sided tests, outside for the two-sided test. Of all true
    differences θ within Student's 80% interval, that which makes this likeliest.
    """
    n, s = len(d), float(d.std(ddof=1))
    if constant(d) or n >= last:
        return 1.0
    theta = d.mean() + float(t_quantile(n, LIKELY)) * s / math.sqrt(n) * np.linspace(-1, 1, 201)
    mean, spread = (d.sum() + (last - n) * theta) / last, s * math.sqrt(last - n) / last
    inside = margin + ndtri(alpha) * s / math.sqrt(last)
    outside = margin - ndtri(alpha / 2) * s / math.sqrt(last)
    chance = ndtr((-outside - mean) / spread) + ndtr((mean - outside) / spread)
    if inside > 0:
        chance += ndtr((inside - mean) / spread) - ndtr((-inside - mean) / spread)
    return float(chance.max())
