"""The rule that turns an interval and an adjusted p value into a verdict.

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
from typing import Any, NamedTuple

from bn_ablate.analysis.judge.metrics import p_text
from bn_ablate.analysis.judge.shown import scale_of, value_text
from bn_ablate.analysis.judge.stats import ALPHA, FEWEST_SEEDS, Interval

MOST_EXCLUDED = 0.2


class Verdict(NamedTuple):
    """The verdict, and a sentence that says why."""

    verdict: str
    reason: str


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
    """The verdict on a record of `claims.json` by the rule of this module, with the adjusted p given."""
    if thin := too_thin(record["n_seeds"], record["n_excluded"]):
        return Verdict("inconclusive", thin)
    p = f"the adjusted p {_is(p_text(p_adjusted))}{_floor(record, p_adjusted)}"
    if record["kind"] == "equivalence":
        return _equivalence(record, p_adjusted, p)
    shown, side = _bound_text(record), record["lies"]
    if side == "across":
        return Verdict("inconclusive", f"The 95% interval contains {shown}; {p}.{_edges(record)}")
    if p_adjusted >= ALPHA:
        return Verdict("inconclusive", f"The 95% interval lies {side} {shown}, but {p}.{_edges(record)}")
    stated = {"greater": "above", "less": "below"}.get(record["alternative"], side)
    verdict = "supported" if side == stated else "contradicted"
    return Verdict(verdict, f"The 95% interval lies {side} {shown}, and {p}.{_edges(record)}")


def _equivalence(record: Mapping[str, Any], p_adjusted: float, p: str) -> Verdict:
    margin = f"±{scale_of(record).difference(record['margin']).lstrip('+')}"
    if record["lies"] != "across":
        clear = p_adjusted < ALPHA
        joined = f"{'and' if clear else 'but'} {p}"
        return Verdict(
            "contradicted" if clear else "inconclusive", f"The 95% interval lies wholly outside {margin}, {joined}."
        )
    if abs(record["estimate"]) >= record["margin"]:
        return Verdict("inconclusive", f"The 95% interval reaches into {margin}; {p}.")
    if p_adjusted < ALPHA:
        return Verdict("equivalent", f"Two one-sided tests place the difference within {margin}; {p}.")
    return Verdict("inconclusive", f"Two one-sided tests do not place the difference within {margin}; {p}.")


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


def _edges(record: Mapping[str, Any]) -> str:
    """A sentence on optima that may lie beyond the levels looked at."""
    sides = [side for side, at in record.get("optima", {}).items() if at["at_edge"]]
    if not sides:
        return ""
    return f" The best level of {' and of '.join(sides)} is the last one looked at."


def _bound_text(record: Mapping[str, Any]) -> str:
    bound = record["bound"]
    if record["kind"] == "equivalent_level":
        return value_text(record, bound)
    return scale_of(record).difference(bound) if bound else "0"


def _is(p: str) -> str:
    return p.replace("<", "is below") if p.startswith("<") else f"is {p}"
