"""The record of a hypothesis, as `claims.json` holds it: what was asked, what was found, and the verdict."""

from __future__ import annotations

from typing import Any, NamedTuple

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.estimands import Estimated
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.spending import spent
from bn_ablate.analysis.judge.verdicts import decide, lies, too_thin
from bn_ablate.analysis.judge.words import divergence_rule, estimand
from bn_ablate.config.hypotheses import Hypothesis
from bn_ablate.config.quantity import Quantity


class Look(NamedTuple):
    """The last look taken at a hypothesis.

    Attributes:
        number: which, from 1 on.
        planned: the seeds of all looks.
        p: the smallest p value of the looks up to it, each over its share of the error.
        stopped: why it was the last: `decided`; `futile`, where the last look could hardly decide it any more; `most`,
            where it is the last planned; None where the study goes on.
    """

    number: int
    planned: tuple[int, ...]
    p: float
    stopped: str | None

    def recorded(self, test: stats.Test | None, terms: stats.Terms) -> dict[str, Any]:
        """What the record says of looks."""
        return {
            "look": self.number,
            "looks": list(self.planned),
            "stopped": self.stopped,
            "p_at_look": test.p if test else None,
            "level_at_look": terms.level,
            "error_spent": stats.ALPHA * spent(self.planned, self.number),
        }

    def of_interval(self, terms: stats.Terms) -> str:
        """What is to be added to how its interval was made."""
        return f"; repeated interval, {terms.level:.4g} at look {self.number} of {len(self.planned)}"

    def of_test(self, terms: stats.Terms) -> str:
        """What is to be added to how its p value was made."""
        return f"; p is over the look's share of the error, {terms.share:.4g}, or that of an earlier look if smaller"


def record_of(
    scores: Scores,
    hypothesis: Hypothesis,
    metric: Quantity,
    estimated: Estimated,
    p_adjusted: float,
    family: int,
    terms: stats.Terms = stats.FIXED,
    at: Look | None = None,
) -> dict[str, Any]:
    """The record of a hypothesis about `metric`, one of `family`, from its estimate and its p value as adjusted.

    With looks it is that `at` the last look taken at it, and `p` is that of all looks up to then.
    """
    d, interval, test = estimated.d, estimated.interval, estimated.test
    smallest = stats.smallest_p(len(d), terms) if test and test.by_signs else None
    kind = KINDS[hypothesis.kind]
    sides = {side: scores.places(rule) for side, rule in hypothesis.sides.items()}
    diverged = {side: int(scores.diverged[:, places].sum()) for side, places in sides.items()}
    involved = sorted({place for places in sides.values() for place in places})
    record: dict[str, Any] = {
        "id": hypothesis.id,
        "claim": hypothesis.claim,
        "primary": hypothesis.primary,
        "statement": hypothesis.statement,
        "kind": hypothesis.kind,
        "metric": hypothesis.metric,
        **{key: getattr(hypothesis, key) for key in ("alternative", "axis", "scale") if hasattr(hypothesis, key)},
        "margin": getattr(hypothesis, "margin", None),
        **hypothesis.sides,
        **({"select": hypothesis.select.model_dump()} if hypothesis.select else {}),
        "metric_unit": metric.unit.name,
        "estimand": estimand(hypothesis, metric, scores.cells),
        "unit": "",
        "bound": hypothesis.bound,
        "estimate": estimated.value,
        "interval": [interval.low, interval.high] if interval else None,
        "interval_level": stats.LEVEL,
        "interval_method": interval.method + (at.of_interval(terms) if at else "") if interval else None,
        "lies": None,
        "effect_size": stats.effect_size(d),
        "p": (at.p if at else test.p) if test else None,
        "p_adjusted": p_adjusted if test else None,
        "family": family,
        "smallest_p": smallest and min(1.0, smallest / terms.share),
        "test": test.method + (at.of_test(terms) if at else "") if test else None,
        "n_seeds": len(d),
        "n_excluded": estimated.n_excluded,
        "n_diverged_lanes": int(scores.diverged[:, involved].sum()),
        "diverged": diverged,
        "divergence_rule": divergence_rule(hypothesis),
        **estimated.notes,
        **(at.recorded(test, terms) if at else {}),
    }
    record["unit"], record["lies"] = kind.scale(record).name, lies(interval, kind.bounds(record))
    record = kind.recorded(record)
    verdict = decide(record, p_adjusted)
    wanted = None
    if verdict.verdict == "inconclusive" and not too_thin(len(d), estimated.n_excluded):
        wanted = kind.seeds_needed(hypothesis, estimated, family)
        wanted = wanted and max(wanted, len(d) + estimated.n_excluded + 1)  # these did not decide
    return record | verdict._asdict() | {"seeds_needed": wanted}
