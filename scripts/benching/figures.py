"""From rounds to figures: rates, ratios between peers of one round, and what was to be reached."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
        limit: the same figure of the matrix products alone, (e), where there is one: that form reaches no more.
    """

    title: str
    where: str
    must: float
    aim: float
    measured: float | None
    show: Callable[[float], str]
    at_most: bool = False
    limit: float | None = None

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


def best(case: Stored, group: str, figure: Callable[[Stored, str], float]) -> float | None:
    """The least `figure` of the peers of a group; None where none was measured."""
    figures = [figure(case, name) for name in present(case) if PEERS[name].group == group]
    return min(figures, default=None)


def targets(stored: Stored) -> list[Target]:
    """All that was to be reached, and what was."""
    cases = {case["case"]["name"]: case for case in stored["cases"] if OURS.name in present(case)}
    return [
        *(_running(case, "a", 4, 6) for case in cases.values()),
        *(_running(case, "b", 3, 5) for case in cases.values()),
        *(_finished(case, "c", 15, 40) for case in cases.values() if case["case"]["whole"]),
        *(_finished(case, "d", 6, 12) for case in cases.values() if case["case"]["whole"]),
        *(
            _share(case, *((0.5, 0.75) if case["case"]["architecture"] == "cnn" else (0.6, 0.8)))
            for case in cases.values()
        ),
        *(_programs(case) for case in cases.values()),
        *(_estimated(case) for case in cases.values()),
        *(_diagnosed(title, seconds) for title, seconds in stored["diagnostics"].items()),
        _flat(stored["scaling"]),
        *(target for start in stored.get("starting", []) for target in _started(start)),
    ]


def _times(value: float) -> str:
    return f"{value:.3g}×"


def _running(case: Stored, group: str, must: float, aim: float) -> Target:
    def ahead(of: str) -> float | None:
        return best(case, group, lambda case, name: lead(case, name, of).median)

    limits = [ahead(name) for name in present(case) if PEERS[name].group == "e"]
    limit = max((limit for limit in limits if limit is not None), default=None)
    return Target(
        f"running, against ({group})", case["case"]["title"], must, aim, ahead(OURS.name), _times, limit=limit
    )


def _finished(case: Stored, group: str, must: float, aim: float) -> Target:
    theirs = best(case, group, study_seconds)
    measured = None if theirs is None else theirs / study_seconds(case, OURS.name)
    return Target(f"finished study, against ({group})", case["case"]["title"], must, aim, measured, _times)


def _share(case: Stored, must: float, aim: float) -> Target:
    limit = best(case, "e", lambda case, name: 1.0 / lead(case, name).median)
    measured = None if limit is None else 1.0 / limit
    return Target("share of the matrix-product limit (e)", case["case"]["title"], must, aim, measured, "{:.2f}".format)


def _programs(case: Stored) -> Target:
    programs = case["peers"][OURS.name]["ready"]["programs"]
    return Target("compiled programs", case["case"]["title"], 1, 1, programs, "{:.0f}".format, at_most=True)


def _estimated(case: Stored) -> Target:
    peer = case["peers"][OURS.name]
    error = abs(peer["estimated_bytes"] / peer["peak_bytes"] - 1.0)
    title = "estimated against measured peak memory, off by"
    return Target(title, case["case"]["title"], 0.2, 0.1, error, "{:.0%}".format, at_most=True)


def _diagnosed(title: str, seconds: dict[str, list[float]]) -> Target:
    ratio = statistics.median(on / off for on, off in zip(seconds["on"], seconds["off"], strict=True))
    return Target("diagnostics on, against off", title, 1.15, 1.05, ratio, _times, at_most=True)


def _started(start: Stored) -> list[Target]:
    of = STARTS[start["name"]]
    said = (
        ("compiling, cold", of.cold, start["first"]["compile_seconds"]),
        ("start to first step, warm", of.warm, start["second"]["step_seconds"]),
    )
    return [
        Target(what, of.title, *wanted, seconds, "{:.2g} s".format, at_most=True)
        for what, wanted, seconds in said
        if wanted
    ]


def _flat(scaling: list[Stored]) -> Target:
    speeds = [p["lanes"] / p["study_seconds"] for p in scaling if p["axis"] == "lanes" and 64 <= p["lanes"] <= 1024]
    departure = max(speeds) / min(speeds) - 1.0 if len(speeds) > 1 else math.nan
    measured = departure if math.isfinite(departure) else None
    return Target(
        "lanes/s from 64 to 1024 lanes vary by", "MLP 3×128", 0.15, 0.05, measured, "{:.0%}".format, at_most=True
    )
