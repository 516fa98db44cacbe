"""Where a curve is best and where it meets a value: by hand, against SciPy, and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.optimize import isotonic_regression

from bn_ablate.analysis.judge import level_curves

X = np.array([0.0, 0.1, 0.2, 0.5, 0.8])
values = st.floats(-100, 100).map(lambda v: round(v, 6))
any_curve = arrays.arrays(np.float64, len(X), elements=values)


@pytest.mark.parametrize("vertex", [-0.2, 0.0, 0.03, 0.1, 0.17, 0.33, 0.5, 0.71, 0.8, 1.5])
def test_the_vertex_of_a_parabola_is_found_within_the_axis(vertex: float) -> None:
    assert level_curves.optimum(X, -3 * (X - vertex) ** 2) == pytest.approx(np.clip(vertex, 0.0, 0.8))


@given(any_curve)
def test_the_optimum_lies_between_the_levels_beside_the_best(curve: np.ndarray) -> None:
    if len(set(curve)) < len(X):
        return
    best = int(np.argmax(curve))
    lowest = X[0] if best == 0 else (X[best - 1] + X[best]) / 2
    highest = X[-1] if best == len(X) - 1 else (X[best] + X[best + 1]) / 2
    assert lowest - 1e-9 <= level_curves.optimum(X, curve) <= highest + 1e-9


def test_levels_themselves_where_no_parabola_helps() -> None:
    inf = np.inf
    assert level_curves.optimum(X[:2], np.array([1.0, 2.0])) == 0.1
    assert level_curves.optimum(X, np.array([-inf, 3.0, -inf, 1.0, 0.0])) == 0.1
    assert level_curves.optimum(X, np.array([3.0, 1.0, 0.5, 0.0, 0.0])) == 0.0  # bends up at the edge
    assert level_curves.optimum(X, np.zeros(5)) == pytest.approx(0.4)  # the middle of a flat curve
    assert level_curves.optimum(X, np.array([0.0, 0.0, 0.0, -inf, -inf])) == pytest.approx(0.1)


@given(any_curve)
def test_a_mirrored_curve_has_the_mirrored_optimum(curve: np.ndarray) -> None:
    assert level_curves.optimum(-X[::-1], curve[::-1]) == pytest.approx(-level_curves.optimum(X, curve))


@given(any_curve, st.floats(0.1, 10), st.floats(-10, 10))
def test_the_optimum_is_that_of_the_shape(curve: np.ndarray, scale: float, shift: float) -> None:
    curve = np.round(curve)  # so that scaling makes and breaks no ties
    assert level_curves.optimum(X, np.round(scale, 2) * curve + 0.0) == pytest.approx(level_curves.optimum(X, curve))
    assert level_curves.optimum(X + shift, curve) == pytest.approx(level_curves.optimum(X, curve) + shift)


@given(arrays.arrays(np.float64, (3, 7), elements=values))
def test_isotonic_is_scipys(many: np.ndarray) -> None:
    expected = [isotonic_regression(curve).x for curve in many]
    assert level_curves.isotonic(many) == pytest.approx(np.array(expected), abs=1e-9)


def test_meeting_by_hand() -> None:
    curve = np.array([1.0, 2.0, 4.0, 4.0, 5.0])
    asked = {1.0: 0.0, 1.5: 0.05, 3.0: 0.15, 4.0: 0.35, 4.5: 0.65, 5.0: 0.8, 0.9: -0.1, 5.1: 1.1}
    found = level_curves.meeting(X, np.broadcast_to(curve, (len(asked), 5)), np.array([*asked]))
    assert found == pytest.approx([*asked.values()])
    assert level_curves.meeting(X, np.array([1.0, 3.0, 2.0, 3.0, 4.0]), np.array(2.5)) == pytest.approx(0.15)  # pooled


@given(arrays.arrays(np.float64, 4, elements=st.floats(0.01, 10)), st.floats(0, 1))
def test_meeting_is_the_inverse_of_interpolation(steps: np.ndarray, share: float) -> None:
    curve = np.concatenate([[0.0], np.cumsum(steps)])
    value = share * curve[-1]
    place = float(level_curves.meeting(X, curve, np.array(value)))
    assert np.interp(place, X, curve) == pytest.approx(value, abs=1e-9)


@given(any_curve)
def test_slope_and_interpolation_are_numpys(curve: np.ndarray) -> None:
    assert curve @ level_curves.slope_weights(X) == pytest.approx(np.polyfit(X, curve, 1)[0], abs=1e-6)
    for at in (0.0, 0.07, 0.5, 0.66, 0.8):
        assert curve @ level_curves.interpolation_weights(X, at) == pytest.approx(np.interp(at, X, curve), abs=1e-9)
