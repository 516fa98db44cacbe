"""How our speed depends on lanes, width, depth, batch and devices; and what measurements cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benching.cases import MLP_72, Case
from benching.compare import Conditions, Say, make, start
from benching.roster import OURS

BASE = Case(
    "scaling",
    "MLP 3×128, 64 lanes",
    placements=("pre", "post"),
    rates=(0.1, 0.5),
    seeds=4,
    steps=100,
    learning_rate=0.01,
)
"""16 cells at 4 seeds; more lanes are more seeds."""

LANES = (1, 4, 16, 64, 256, 1024, 4096)
WIDTHS = (32, 128, 512)
DEPTHS = (1, 3, 10)
BATCHES = (32, 128, 512)
DIAGNOSED = (MLP_72, replace(MLP_72, name="mlp-72-batch-64", title="the same, batch 64", batch_size=64))
"""The first case, and the same with the batch size of the main study."""


def with_lanes(lanes: int) -> Case:
    """The base with so many lanes, of fewer cells where there are fewer than one seed of all of them has."""
    if lanes >= 16:
        return replace(BASE, seeds=lanes // 16, steps=BASE.steps if lanes <= 1024 else 25)
    few = replace(BASE, placements=("pre",), rates=(0.1,), seeds=1, steps=400)
    return few if lanes == 4 else replace(few, activations=("relu",))


def of_one_structure(placement: str, activation: str) -> Case:
    """As many lanes as the base has, of one placement and activation: there is nothing to choose in their program."""
    return replace(BASE, placements=(placement,), activations=(activation,), seeds=32)


STRUCTURES = {
    "12 in one program": replace(BASE, placements=("none", "pre", "post"), rates=(0.1, 0.3), seeds=4),
    "none, relu": of_one_structure("none", "relu"),
    "none, gelu": of_one_structure("none", "gelu"),
    "pre, relu": of_one_structure("pre", "relu"),
    "pre, gelu": of_one_structure("pre", "gelu"),
    "post, relu": of_one_structure("post", "relu"),
    "post, gelu": of_one_structure("post", "gelu"),
}
"""Programs that choose between placements and activations, and programs compiled for one of each."""

Point = tuple[str, int | str, Case, int | None]


def points(quick: bool) -> list[Point]:
    """(what varies, its value, the case, devices): each a point of a curve."""
    lanes: list[Point] = [("lanes", n, with_lanes(n), None) for n in (LANES[2:3] if quick else LANES)]
    if quick:
        return lanes
    return [
        *lanes,
        *(("width", n, replace(BASE, width=n, steps=25 if n > 128 else 50), None) for n in WIDTHS),
        *(("depth", n, replace(BASE, depth=n, steps=25 if n > 3 else 50), None) for n in DEPTHS),
        *(("batch", n, replace(BASE, batch_size=n, steps=25 if n > 128 else 50), None) for n in BATCHES),
        *(("devices", n, BASE, n) for n in (1, 2)),
        *(("structures", n, case, None) for n, case in STRUCTURES.items()),
    ]


def curves(conditions: Conditions, say: Say, quick: bool) -> Iterator[dict[str, Any]]:
    """Every point, as it is stored: `axis`, `value`, lanes, steps, and what `Ours.study` gives."""
    with start(OURS, conditions) as worker:
        for axis, value, case, devices in points(quick):
            say(f"scaling: {axis} {value}")
            make(worker, case, conditions, devices=devices)
            worker.ask("set_up")
            point = {"axis": axis, "value": value, "lanes": case.n_lanes, "steps": case.steps}
            yield point | worker.ask("study")


def diagnostics(conditions: Conditions, say: Say) -> dict[str, dict[str, list[float]]]:
    """Seconds with measurements `on` and `off`, of some cases by title."""
    measured = {}
    with start(OURS, conditions) as worker:
        for case in DIAGNOSED:
            say(f"diagnostics: {case.title}")
            make(worker, case, conditions)
            measured[case.title] = worker.ask("diagnostics")
    return measured
