"""How often verdicts are right where seeds go on until they are made, and how many seeds that saves.

`scripts/calibration.py` prints these tables after its own, from the same simulated studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from calibration import KINDS, NULLS, SHAPES, Truth, covers, studies_of

LOOKS = {"first": 10, "most": 40, "until": "decided"}
LONG = {"first": 10, "most": 80, "until": "decided"}
EFFECTS: dict[str, tuple[float, ...]] = {
    "contrast": (0.25, 0.4, 0.6, 1.0, 2.0),
    "equivalence": (0.0, 0.75, 1.25, 2.0),
}
"""What is planted: in standard deviations of a paired difference; the margin of equivalence is 1.5."""


def wrong(record: dict[str, Any]) -> bool:
    """Whether a record of a study without an effect is a false verdict."""
    return bool(record["verdict"] != "inconclusive")


def print_nulls(kinds: Sequence[str], studies: int, noise: str) -> None:
    """What comes of studies with hypotheses of these `kinds`, none of which has an effect."""
    truth, rows = Truth(), {kind: np.zeros(5) for kind in kinds}  # shares of studies, and their seeds
    false = 0
    for records in studies_of(tuple(kinds), truth, studies, noise, LOOKS):
        false += any(map(wrong, records))
        for record in records:
            seeds = record["looks"][record["look"] - 1]
            early, futile = record["look"] < len(record["looks"]), record["stopped"] == "futile"
            covered = covers(record, getattr(truth, record["id"]))
            rows[record["id"]] += np.array([wrong(record), covered, futile, early, seeds])
    for kind, found in rows.items():
        *shares, seeds = (found / studies).tolist()
        said = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {len(kinds)} | {kind} | {noise} | {said} | {seeds:.0f} |", flush=True)
    if len(kinds) > 1:
        print(f"| {len(kinds)} | any | {noise} | **{false / studies:.1%}** | | | | |", flush=True)


def print_savings(studies: int) -> None:
    """How often an effect is decided, and with how many seeds, beside designs with a fixed number of seeds."""
    print("| kind | planted | decided, 10 to 80 | mean seeds | saved of 80 | interval covers | 10 seeds | 80 seeds |")
    print("|---|---|---|---|---|---|---|---|")
    for kind, effects in EFFECTS.items():
        for effect in effects:
            truth = Truth()._replace(**{kind: effect})
            looked = [records[0] for records in studies_of((kind,), truth, studies, "normal", LONG)]
            seeds = float(np.mean([record["looks"][record["look"] - 1] for record in looked]))
            covered = sum(covers(record, effect) for record in looked) / studies
            fixed = [
                sum(wrong(records[0]) for records in studies_of((kind,), truth, studies, "normal", n)) / studies
                for n in (10, 80)
            ]
            decided = sum(map(wrong, looked)) / studies
            print(
                f"| {kind} | {effect:g} | {decided:.0%} | {seeds:.0f} | {1 - seeds / 80:.0%} | {covered:.1%} | "
                f"{fixed[0]:.0%} | {fixed[1]:.0%} |",
                flush=True,
            )


def print_looks(studies: int) -> None:
    """Both tables."""
    print("| hypotheses | kind | noise | false verdicts | interval covers | futile | stopped early | mean seeds |")
    print("|---|---|---|---|---|---|---|---|")
    print_nulls(KINDS, studies, "normal")
    for noise in NULLS:
        assert noise in SHAPES
        print_nulls(("contrast",), studies, noise)
    print()
    print_savings(max(studies // 8, 1))
