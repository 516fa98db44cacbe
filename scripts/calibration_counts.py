"""Whether intervals cover differences of censored counts after a chosen level, as those of C8's steps to a loss.

    nice .venv/bin/python scripts/calibration_counts.py             # 1000 samples a row

Times to the loss are log-normal, with an effect of the seed that all networks share; they are rounded up to when the
loss is measured, and cut at the end of training. Each network stands for the best of three learning rates by a
validation loss that agrees with its time loosely. One network is held against the mean of six, with 14 seeds.
"""

from __future__ import annotations

import sys

import numpy as np

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.stats import Vector

EVERY, MOST, SEEDS, RESAMPLES = 50, 300, 14, 999
SHIFTS = (0.0, 0.15, 0.4, 0.8, 1.2)
"""By how much the mean logarithm of the six networks' times is longer."""
RATES = np.log(140) + np.array([0.5, 0.0, -0.15])
"""The mean logarithm of the time at each of three learning rates."""


def differences(rng: np.random.Generator, n: int, shift: float) -> Vector:
    """Differences of mean counts `(n,)`, a seed each."""
    of_seed, arms = rng.normal(0, 0.15, size=(n, 1, 1)), []
    for longer, networks in ((0.0, 1), (shift, 6)):
        times = RATES + longer + of_seed + rng.normal(0, 0.35, size=(n, networks, 3))
        best = (times + rng.normal(0, 0.3, size=times.shape)).argmin(axis=-1)
        chosen = np.take_along_axis(times, best[..., np.newaxis], axis=-1)[..., 0]
        arms.append(np.minimum(np.ceil(np.exp(chosen) / EVERY) * EVERY, MOST).mean(axis=1))
    return np.asarray(arms[0] - arms[1])


def main(samples: int) -> None:
    """Print the true difference, what it is drawn from, and how often its interval covers it."""
    rng = np.random.default_rng(0)
    print("| shift of log time | true difference | SD | skewness | interval covers |\n|---|---|---|---|---|")
    for shift in SHIFTS:
        true = differences(np.random.default_rng(1), 400_000, shift).mean()
        many = differences(np.random.default_rng(1), 200_000, shift)
        skewness = ((many - many.mean()) ** 3).mean() / many.std() ** 3
        covered = 0
        for _ in range(samples):
            interval = stats.mean_interval(differences(rng, SEEDS, shift), stats.Terms(RESAMPLES))
            assert interval is not None
            covered += interval.low <= true <= interval.high
        print(f"| {shift:g} | {true:+.1f} | {many.std():.0f} | {skewness:+.2f} | {covered / samples:.1%} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
