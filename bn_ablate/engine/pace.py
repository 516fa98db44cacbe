"""How many steps a call into a compiled program takes: few, to show progress and to stop soon. It changes no bit."""

from __future__ import annotations

SECONDS_PER_CALL = 1.0
"""How long the steps of a call should take."""

FIRST, MOST_TIMES = 8, 4
"""Steps of the first call, and how many times as many the next may have where it is not sure that they fit."""


class Pace:
    """The size of the next call, by what those before it took: some seconds for each step, and some for any call.

    A call first gathers the batches of a stretch for each seed, which takes as long for one step as for thousands. With
    many seeds, or on a busy machine, that alone is more than a second; calls that were shortened for it would end up
    with a step each, and never get to the end.

    Attributes:
        size: steps that the next call should take, at most `room`.
    """

    def __init__(self, room: int) -> None:
        self.size = min(room, FIRST)
        self._room = room
        self._shortest: tuple[int, float] | None = None
        self._per_step = 0.0

    def took(self, steps: int, seconds: float) -> None:
        """Learn that a call of so many steps took so many seconds."""
        short, least = self._shortest or (steps, seconds)
        if self._shortest is None:
            self._per_step = seconds / steps
        elif steps != short:
            self._per_step = max(0.0, (seconds - least) / (steps - short))
        if steps <= short:
            self._shortest = steps, min(seconds, least) if steps == short else seconds
        # sure, however the seconds divide into those of steps and others
        sure = steps * SECONDS_PER_CALL / max(seconds, 1e-6)
        likely = min(SECONDS_PER_CALL / max(self._per_step, 1e-6), MOST_TIMES * steps)
        self.size = max(1, min(self._room, int(max(sure, likely))))
