"""How many steps a call takes, where a step and a call take so long."""

from __future__ import annotations

import pytest

from bn_ablate.engine.pace import Pace

ROOM = 8192


def calls(per_step: float, per_call: float, n: int, noise: tuple[float, ...] = (1.0,)) -> list[tuple[int, float]]:
    """The sizes and seconds of the first calls, which take some times as long as they should, in turn."""
    pace, made = Pace(ROOM), []
    for i in range(n):
        steps = pace.size
        seconds = (per_call + steps * per_step) * noise[i % len(noise)]
        pace.took(steps, seconds)
        made.append((steps, seconds))
    return made


@pytest.mark.parametrize("per_call", [0.0, 0.02, 1.0, 2.5, 10.0])
@pytest.mark.parametrize("noise", [(1.0,), (1.0, 1.5, 0.7), (0.6, 1.4)])
def test_steps_take_a_second_whatever_a_call_takes_besides(per_call: float, noise: tuple[float, ...]) -> None:
    made = calls(0.001, per_call, 30, noise)[10:]
    assert all(steps >= 250 for steps, _ in made)
    assert all(seconds <= 1.5 * (2 * per_call + 4) for _, seconds in made)


def test_a_step_that_takes_seconds_is_a_call() -> None:
    assert {steps for steps, _ in calls(3.0, 0.0, 20, (1.0, 1.5, 0.7))[1:]} == {1}


def test_where_little_is_to_do_two_calls_are_enough_to_learn_it() -> None:
    assert [steps for steps, _ in calls(1e-5, 0.0, 3)] == [8, ROOM, ROOM]
