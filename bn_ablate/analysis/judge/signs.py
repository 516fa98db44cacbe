"""Exact sign-flip tests from any number of seeds: signs are taken from a group, not at random.

The signs of n seeds form a group of 2ⁿ elements, the identity among them. Under the hypothesis all 2ⁿ assignments are
as likely, and so are those of any *subgroup* that was fixed beforehand: the share of its elements with which the
statistic is at least as far from zero as observed is a p value that never comes too often (Hemerik & Goeman, *Test*
2018). A fixed set of random signs that is no group has no such guarantee.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_GENERATORS = 0
"""The seed of the random bits that generate groups."""
_ROWS = 8192
_ROUNDING = 1e-9


def size_of(n: int, resamples: int) -> int:
    """How many assignments of `n` signs are counted: all 2ⁿ, or a power of two of 8 to 16 times `resamples`."""
    return int(2 ** min(n, (resamples - 1).bit_length() + 3))


@lru_cache(maxsize=8)
def sign_group(n: int, size: int) -> NDArray[np.int8]:
    """A group of `size` vectors of n signs `(size, n)`, `size` a power of two up to 2ⁿ: the first is all +1.

    The vector of all −1 is one of it, and every assignment of the first log2(size) signs is there once. The group
    depends on `n` and `size` alone.
    """
    k = size.bit_length() - 1
    generators = np.zeros((k, n), dtype=bool)
    generators[np.arange(k), np.arange(k)] = True
    if n > k:
        generators[:, k:] = np.random.default_rng([_GENERATORS, n, size]).integers(2, size=(k, n - k), dtype=bool)
        generators[k - 1] = ~np.logical_xor.reduce(generators[: k - 1], axis=0)  # with the others it makes all −1
    words = np.zeros((1, n), dtype=bool)
    for generator in generators:
        words = np.concatenate([words, words ^ generator])
    signs = np.where(words, np.int8(-1), np.int8(1))
    signs.setflags(write=False)
    return signs


def flip_p(d: Vector, resamples: int) -> tuple[float, int]:
    """Two-sided p value of the mean of `d` `(seeds,)` under the signs of a group, and how many these are."""
    signs = sign_group(len(d), size_of(len(d), resamples))
    least = abs(d.sum()) - _ROUNDING * np.abs(d).sum()
    blocks = (signs[i : i + _ROWS].astype(float) @ d for i in range(0, len(signs), _ROWS))
    return sum(int((np.abs(sums) >= least).sum()) for sums in blocks) / len(signs), len(signs)


def swap_p(a: Vector, b: Vector, statistic: Callable[[Vector], Vector], resamples: int) -> tuple[float, int]:
    """The same of `statistic` of mean `a` and mean `b` `(seeds, columns)`, which change places where the sign is −1.

    A mean with a value of −∞ is −∞.
    """
    n = len(a)
    signs = sign_group(n, size_of(n, resamples))
    endless = np.isneginf(a), np.isneginf(b)
    a, b = (np.where(gone, 0.0, values) for gone, values in zip(endless, (a, b), strict=True))
    difference, total, second = (a - b) / n, (a + b).sum(axis=0) / n, b.sum(axis=0) / n

    def far(rows: NDArray[np.int8]) -> Vector:
        kept = (rows > 0).astype(float)
        first = kept @ difference + second
        means = np.concatenate([first, total - first], axis=1)
        if any(gone.any() for gone in endless):
            of_a, of_b = (gone.astype(float) for gone in endless)
            lost = np.concatenate([kept @ of_a + (1 - kept) @ of_b, kept @ of_b + (1 - kept) @ of_a], axis=1)
            means[lost > 0] = -np.inf
        return np.abs(statistic(means))

    observed = float(far(signs[:1])[0])
    least = observed - _ROUNDING * max(1.0, observed)
    blocks = (far(signs[i : i + _ROWS]) for i in range(0, len(signs), _ROWS))
    return sum(int((values >= least).sum()) for values in blocks) / len(signs), len(signs)
