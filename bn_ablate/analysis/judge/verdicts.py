"""The rule that turns an interval and an adjusted p value into a verdict; each kind of hypothesis has its part of it.

Every kind but equivalence has a **bound**: `+margin` for `greater`, `-margin` for `less`, 0 for `two-sided`; for an
equivalent level, the stated level. The p value is two-sided, against that bound, so that a claim can fail either way.

- supported: the 95% interval lies wholly beyond the bound, in the stated direction (either direction for `two-sided`),
  and the adjusted p is below .05;
- contradicted: the interval lies wholly on the other side of the bound, and the adjusted p is below .05;
- inconclusive: anything else.

An **equivalence** is *equivalent* when the estimate lies within `±margin` and the adjusted p of the two one-sided tests
is below .05; *contradicted* when the 95% interval lies wholly outside `±margin` and the adjusted p against the nearer
bound is below .05; and inconclusive otherwise.

Any of them is inconclusive, whatever the numbers say, when more than a fifth of the seeds had to be left out or fewer
than 5 remain.

A verdict is made of a record alone, so that it can be made again with another adjustment of the p values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bn_ablate.analysis.judge.estimands import Verdict
from bn_ablate.analysis.judge.kinds import kind_of
from bn_ablate.analysis.judge.shown import p_text
from bn_ablate.analysis.judge.stats import ALPHA, FEWEST_SEEDS, Interval

MOST_EXCLUDED = 0.2
FUTILE = " It got no more seeds, since those of the last look could hardly decide it."


def lies(interval: Interval | None, bounds: tuple[float, float]) -> str | None:
    """Where an interval lies to the bounds: wholly `above` them, wholly `below`, or `across`."""
    if interval is None:
        return None
    return "above" if interval.low > bounds[1] else "below" if interval.high < bounds[0] else "across"


def too_thin(n_seeds: int, n_excluded: int) -> str | None:
    """Why so few seeds cannot carry a verdict, if they cannot."""
    if n_excluded > MOST_EXCLUDED * (n_seeds + n_excluded):
        return (
            f"{n_excluded} of {n_seeds + n_excluded} seeds are left out, more than a fifth: "
            "there the metric of a lane is not finite or not measured."
        )
    if n_seeds < FEWEST_SEEDS:
        have = f"{n_seeds} {'has' if n_seeds == 1 else 'have'} a value"
        return f"Fewer than {FEWEST_SEEDS} seeds carry no verdict, and {have}; `bn-ablate plan` says how many would do."
    return None


def decide(record: Mapping[str, Any], p_adjusted: float) -> Verdict:
    """The verdict on a record of `claims.json` by the rule of its kind, with the adjusted p given."""
    if thin := too_thin(record["n_seeds"], record["n_excluded"]):
        return Verdict("inconclusive", thin)
    p = f"the adjusted p {_is(p_text(p_adjusted))}{_floor(record, p_adjusted)}"
    found = kind_of(record).verdict(record, p_adjusted, p)
    return found._replace(reason=found.reason + FUTILE) if record.get("stopped") == "futile" else found


def _floor(record: Mapping[str, Any], p_adjusted: float) -> str:
    """Where Holm makes too much of the smallest p of so many seeds: that no outcome would have been clearer."""
    if p_adjusted < ALPHA or not at_floor(record):
        return ""
    return (
        f": no p of {record['n_seeds']} seeds is below {record['smallest_p']:.4g}, of which Holm over "
        f"{record['family']} hypotheses makes {p_text(p_adjusted)}"
    )


def at_floor(record: Mapping[str, Any]) -> bool:
    """Whether the record's p, before its adjustment, is the smallest that so many seeds can give."""
    return record.get("smallest_p") is not None and record["p"] <= record["smallest_p"]


def floor_notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each adjusted p that several records of a family share, since their p is the smallest there is."""
    alike: dict[tuple[float, float, int], int] = {}
    for record in filter(at_floor, records):
        key = (record["p_adjusted"], record["smallest_p"], record["n_seeds"])
        alike[key] = alike.get(key, 0) + 1
    return [
        f"{count} hypotheses have the same adjusted p, {p_text(adjusted)}: each has the smallest p that {seeds} seeds "
        f"allow, {smallest:.4g}, and Holm over {records[0]['family']} hypotheses makes {p_text(adjusted)} of it. More "
        "seeds would tell them apart."
        for (adjusted, smallest, seeds), count in alike.items()
        if count > 1
    ]


def _is(p: str) -> str:
    return p.replace("<", "is below") if p.startswith("<") else f"is {p}"
