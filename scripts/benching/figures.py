"""From rounds to figures: rates, ratios between peers of one round, and what was to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from benching.cases import MLP_72, MLP_720
from benching.roster import OURS, PEERS
from benching.starting import STARTS

Stored = dict[str, Any]


@dataclass(frozen=True)
class Spread:
    """A median, and the least and the greatest beside it."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """That of some values."""
        values = list(values)
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """What was to be reached.

    Attributes:
        title: what is measured.
        where: the case it was measured on.
        must, aim: the figures to reach.
        measured: what was; None where a peer or case is missing.
        show: writes such a figure.
        at_most: less is better.
    """

    title: str
    where: str
    must: float
    aim: float
    measured: float | None
    show: Callable[[float], str]
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """`aim`, `must`, `missed`, or `not measured`."""
        if self.measured is None:
            return "not measured"

        def reached(wanted: float) -> bool:
            assert self.measured is not None
            return self.measured <= wanted if self.at_most else self.measured >= wanted

        return "aim" if reached(self.aim) else "must" if reached(self.must) else "missed"


def present(case: Stored) -> list[str]:
    """The peers of a stored case that were measured, in order."""
    return [name for name, peer in case["peers"].items() if peer.get("rounds")]


def rates(case: Stored, name: str) -> list[float]:
    """Lane-steps per second, round by round."""
    return [done["lane_steps"] / done["seconds"] for done in case["peers"][name]["rounds"]]


def lead(case: Stored, name: str, of: str = OURS.name) -> Spread:
    """How many times as fast as the peer `name` the peer `of` is, from the rounds in pairs."""
    return Spread.of(mine / theirs for mine, theirs in zip(rates(case, of), rates(case, name), strict=False))


def study_seconds(case: Stored, name: str) -> float:
    """From nothing to all lanes trained: as it was measured (ours), or compiling all programs, then training all lanes.

    What a peer did not compile or train itself is taken to be like what it did.
    """
    ready = case["peers"][name]["ready"]
    if ready["study_seconds"] is not None:
        return float(ready["study_seconds"])
    compiling = ready["compile_seconds"] * ready["programs_of_case"] / max(ready["programs"], 1)
    return float(compiling + case["lanes"] * case["case"]["steps"] / statistics.median(rates(case, name)))


def networks_per_minute(case: Stored, name: str) -> float:
    """Networks that are trained to the end in a minute, compilation and all."""
    return float(60.0 * case["lanes"] / study_seconds(case, name))


def quickest(case: Stored, groups: str) -> str | None:
    """The peer of these groups that finishes the study first; None where none was measured."""
    return min(_of(case, groups), key=lambda name: study_seconds(case, name), default=None)


def targets(stored: Stored) -> list[Target]:
    """All that was to be reached, and what was."""
    cases = {case["case"]["name"]: case for case in stored["cases"] if OURS.name in present(case)}
    starts = {start["name"]: start for start in stored.get("starting", [])}
    found = []
    if case := cases.get(MLP_720.name):
        found.append(_finished(case, "ab", 3, 4))
    if case := cases.get(MLP_72.name):
        found.append(_finished(case, "ab", 1, 1.5))
        if start := starts.get(MLP_72.name):
            found.append(_finished(case, "ab", 2, 3, start["second"]["study_seconds"]))
        found += [_finished(case, "c", 15, 25), _finished(case, "d", 6, 10)]
    found += [target for start in starts.values() for target in _started(start)]
    for case in cases.values():
        convolves = case["case"]["architecture"] == "cnn"
        found.append(_share(case, *((0.78, 0.85) if convolves else (0.66, 0.70))))
        found += [_running(case, 1.2, 1.5)] if convolves else []
    return found + [_diagnosed(title, seconds) for title, seconds in stored["diagnostics"].items()]


def _of(case: Stored, groups: str) -> list[str]:
    """The peers of some groups that were measured."""
    return [name for name in present(case) if PEERS[name].group in tuple(groups)]


def _times(value: float) -> str:
    return f"{value:.3g}×"


def _running(case: Stored, must: float, aim: float) -> Target:
    measured = min((lead(case, name).median for name in _of(case, "ab")), default=None)
    return Target("running, against the best PyTorch", case["case"]["title"], must, aim, measured, _times)


def _finished(case: Stored, groups: str, must: float, aim: float, warm: float | None = None) -> Target:
    """Against the quickest peer; `warm`: seconds of ours in a second process, which loads its programs."""
    name = quickest(case, groups)
    measured = study_seconds(case, name) / (warm or study_seconds(case, OURS.name)) if name else None
    whom = {"ab": "the best PyTorch", "c": "a Flax step loop", "d": "a scanned Flax"}[groups]
    how = "finished" if warm is None else "finished in a second process"
    return Target(f"{how}, against {whom}", case["case"]["title"], must, aim, measured, _times)


def _share(case: Stored, must: float, aim: float) -> Target:
    measured = min((lead(case, name).median for name in _of(case, "e")), default=None)
    return Target("share of the matrix products alone", case["case"]["title"], must, aim, measured, "{:.2f}".format)


def _diagnosed(title: str, seconds: dict[str, list[float]]) -> Target:
    ratio = statistics.median(on / off for on, off in zip(seconds["on"], seconds["off"], strict=True))
    return Target("with measurements, against without", title, 1.10, 1.05, ratio, _times, at_most=True)


def _started(start: Stored) -> list[Target]:
    of = STARTS[start["name"]]
    said = (
        ("compiling, first process", of.cold, start["first"]["compile_seconds"]),
        ("start to first step, second process", of.warm, start["second"]["step_seconds"]),
    )
    return [
        Target(what, of.title, *wanted, seconds, "{:.2g} s".format, at_most=True)
        for what, wanted, seconds in said
        if wanted
    ]
