"""How often the 95% interval of a mean covers it: plain BCa against the one that verdicts use, on simulated seeds.

    .venv/bin/python scripts/interval_coverage.py            # 2000 samples a row, about two minutes
    .venv/bin/python scripts/interval_coverage.py 200

The table is that of docs/statistics.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from scipy import stats

from bn_ablate.analysis.stats import bca_interval

Draw = Callable[[np.random.Generator, int], np.ndarray]

CASES: tuple[tuple[str, Draw, float, int], ...] = (
    ("normal", lambda rng, n: rng.normal(size=n), 0.0, 5),
    ("normal", lambda rng, n: rng.normal(size=n), 0.0, 10),
    ("normal", lambda rng, n: rng.normal(size=n), 0.0, 20),
    ("exponential", lambda rng, n: rng.exponential(size=n), 1.0, 10),
    ("exponential", lambda rng, n: rng.exponential(size=n), 1.0, 20),
    ("Student t, 3 degrees of freedom", lambda rng, n: rng.standard_t(3, size=n), 0.0, 10),
)
"""Name, how `n` differences are drawn, their true mean, n."""


def coverage(draw: Draw, mean: float, n: int, samples: int) -> tuple[float, float]:
    """The shares of samples whose plain BCa interval, and whose interval as used, covers the true mean."""
    rng = np.random.default_rng(0)
    plain = used = 0
    for _ in range(samples):
        d = draw(rng, n)
        low, high = stats.bootstrap(d[np.newaxis], np.mean, rng=rng).confidence_interval
        plain += bool(low <= mean <= high)
        interval = bca_interval(d)
        used += bool(interval is not None and interval.low <= mean <= interval.high)
    return plain / samples, used / samples


def main() -> int:
    """Print the table."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print("| differences | n | plain BCa | as used here |\n|---|---|---|---|")
    for name, draw, mean, n in CASES:
        plain, used = coverage(draw, mean, n, samples)
        print(f"| {name} | {n} | {plain:.0%} | {used:.0%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
