"""The rule that turns an interval and an adjusted p value into a verdict.

A **contrast** has a bound: `+margin` for `greater`, `-margin` for `less`, 0 for `two-sided`. The p value is two-sided,
for the difference against that bound, so that a claim can fail in either way.

- supported: the 95% interval lies wholly beyond the bound, in the stated direction (either direction for `two-sided`),
  and the adjusted p is below .05;
- contradicted: the interval lies wholly on the other side of the bound, and the adjusted p is below .05;
- inconclusive: anything else.

An **equivalence** is *equivalent* when the adjusted p of the two one-sided tests is below .05, *contradicted* when the
95% interval lies wholly outside `±margin`, and inconclusive otherwise.

Either is inconclusive, whatever the numbers say, when more than a fifth of the seeds had to be left out or fewer than 5
remain.
"""

from __future__ import annotations

from typing import NamedTuple

from bn_ablate.analysis.metrics import Metric, p_text
from bn_ablate.analysis.stats import ALPHA, FEWEST_SEEDS, Interval
from bn_ablate.config.hypotheses import Contrast, Hypothesis

MOST_EXCLUDED = 0.2


class Verdict(NamedTuple):
    """The verdict, and a sentence that says why."""

    verdict: str
    reason: str


def bound_of(hypothesis: Contrast) -> float:
    """What the difference of `hypothesis` is tested against, in the metric's unit."""
    return {"greater": hypothesis.margin, "less": -hypothesis.margin, "two-sided": 0.0}[hypothesis.alternative]


def too_thin(n_seeds: int, n_excluded: int) -> str | None:
    """Why so few seeds cannot carry a verdict, if they cannot."""
    if n_excluded > MOST_EXCLUDED * (n_seeds + n_excluded):
        return (
            f"{n_excluded} of {n_seeds + n_excluded} seeds are left out, more than a fifth: "
            "there the metric of a lane is not finite or not measured."
        )
    if n_seeds < FEWEST_SEEDS:
        return f"A verdict needs {FEWEST_SEEDS} seeds or more; {n_seeds} {'has' if n_seeds == 1 else 'have'} a value."
    return None


def decide(hypothesis: Hypothesis, interval: Interval, p_adjusted: float, metric: Metric) -> Verdict:
    """The verdict by the rule of this module; `metric` only words the reason."""
    if isinstance(hypothesis, Contrast):
        return _contrast(hypothesis, interval, p_adjusted, metric)
    margin = f"±{metric.difference(hypothesis.margin).lstrip('+')}"
    p = f"the adjusted p {_is(p_text(p_adjusted))}"
    if p_adjusted < ALPHA:
        return Verdict("equivalent", f"Two one-sided tests place the difference within {margin}; {p}.")
    if interval.low > hypothesis.margin or interval.high < -hypothesis.margin:
        return Verdict("contradicted", f"The 95% interval lies wholly outside {margin}.")
    return Verdict("inconclusive", f"Two one-sided tests do not place the difference within {margin}; {p}.")


def _contrast(hypothesis: Contrast, interval: Interval, p_adjusted: float, metric: Metric) -> Verdict:
    bound = bound_of(hypothesis)
    shown = metric.difference(bound) if bound else "0"
    p = f"the adjusted p {_is(p_text(p_adjusted))}"
    if interval.low <= bound <= interval.high:
        return Verdict("inconclusive", f"The 95% interval contains {shown}; {p}.")
    above = interval.low > bound
    side = "above" if above else "below"
    if p_adjusted >= ALPHA:
        return Verdict("inconclusive", f"The 95% interval lies {side} {shown}, but {p}.")
    as_stated = hypothesis.alternative == "two-sided" or above == (hypothesis.alternative == "greater")
    verdict = "supported" if as_stated else "contradicted"
    return Verdict(verdict, f"The 95% interval lies {side} {shown}, and {p}.")


def _is(p: str) -> str:
    return p.replace("<", "is below") if p.startswith("<") else f"is {p}"
