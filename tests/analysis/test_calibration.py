"""A small version of `scripts/calibration.py`: no effect is rarely seen, a large one mostly, and intervals cover."""

from __future__ import annotations

import calibration
import pytest
from scipy import stats

STUDIES = 40


LARGE = {
    "contrast": 2.5,
    "contrast_selected": 2.5,
    "equivalence": 0.0,
    "interaction": 3.0,
    "slope": 5.0,
    "optimum_shift": 0.3,
    "equivalent_level": 0.6,
}
QUICKLY = ("contrast", "equivalence", "optimum_shift")
"""A difference, an equivalence, and an effect along an axis; the others are sums of these, and slow."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in QUICKLY else pytest.mark.slow) for kind in LARGE]
)
def test_verdicts_are_calibrated(kind: str) -> None:
    assert set(LARGE) == set(calibration.KINDS) == set(calibration.EFFECTS)
    most_wrong = stats.binom.isf(0.001, STUDIES, 0.05)
    none = calibration.simulate(kind, calibration.Truth(), STUDIES)
    wrong = ("equivalent",) if kind == "equivalence" else ("supported", "contradicted")
    assert none.share(*wrong) * STUDIES <= most_wrong
    assert STUDIES - none.covered <= most_wrong
    large = calibration.simulate(kind, calibration.Truth()._replace(**{kind: LARGE[kind]}), STUDIES // 4)
    right = "equivalent" if kind == "equivalence" else "supported"
    assert large.share(right) >= 0.8
    assert large.studies - large.covered <= stats.binom.isf(0.001, STUDIES // 4, 0.05)


@pytest.mark.parametrize(
    "shape", [pytest.param("normal", marks=pytest.mark.slow), "exponential", "two accuracies on 300 examples"]
)
def test_intervals_of_a_mean_cover(shape: str) -> None:
    plain, _, used = calibration.coverage(shape, 10, 100)
    assert used >= stats.binom.ppf(0.001, 100, 0.93) / 100
    assert used >= plain
