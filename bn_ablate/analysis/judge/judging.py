"""From a study's hypotheses and its lanes to one record each: estimate, interval, p values, verdict."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.estimands import Estimated
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.verdicts import decide, lies, too_thin
from bn_ablate.analysis.judge.words import divergence_rule, estimand
from bn_ablate.config.hypotheses import Hypothesis
from bn_ablate.config.quantity import Quantity
from bn_ablate.config.schema import Study
from bn_ablate.results import Results, seal
from bn_ablate.results.files import write_text


def analyze(results: Results) -> list[dict[str, Any]]:
    """Judge every hypothesis of the study: a record each, as `claims.json` holds them."""
    return judge(results.study, results.lanes)


def judge(study: Study, lanes: pl.DataFrame, resamples: int = stats.RESAMPLES) -> list[dict[str, Any]]:
    """Judge every hypothesis of `study` on its `lanes`, a row per lane as in `lanes.parquet`.

    p values are adjusted by Holm over all hypotheses of the study; one that has no p value counts with p = 1.
    """
    if not study.hypotheses:
        return []
    scores = Scores(study, lanes)
    found = [KINDS[asked.kind].estimate(asked, scores, study.axes, resamples) for asked in study.hypotheses]
    adjusted = stats.holm([estimated.test.p if estimated.test else 1.0 for estimated in found])
    return [
        record_of(scores, hypothesis, study.quantity(hypothesis.metric), estimated, p_adjusted, len(found), resamples)
        for hypothesis, estimated, p_adjusted in zip(study.hypotheses, found, adjusted, strict=True)
    ]


def write_claims(results: Results) -> list[dict[str, Any]]:
    """Judge every hypothesis, write `claims.json` into the results folder, and seal it."""
    records = analyze(results)
    write_text(results.path / "claims.json", claims_text(results, records))
    seal(results.path)
    return records


def claims_text(results: Results, records: list[dict[str, Any]]) -> str:
    """`claims.json`: the records, and what they are verdicts on."""
    said = {"study": results.name, "alpha": stats.ALPHA, "judged": results.judged, "hypotheses": records}
    return json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def record_of(
    scores: Scores,
    hypothesis: Hypothesis,
    metric: Quantity,
    estimated: Estimated,
    p_adjusted: float,
    family: int,
    resamples: int = stats.RESAMPLES,
) -> dict[str, Any]:
    """The record of a hypothesis about `metric`, one of `family`, from its estimate and its p value as adjusted."""
    d, interval, test = estimated.d, estimated.interval, estimated.test
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
        "interval_method": interval.method if interval else None,
        "lies": None,
        "effect_size": stats.effect_size(d),
        "p": test.p if test else None,
        "p_adjusted": p_adjusted if test else None,
        "family": family,
        "smallest_p": stats.smallest_p(len(d), resamples) if test and test.by_signs else None,
        "test": test.method if test else None,
        "n_seeds": len(d),
        "n_excluded": estimated.n_excluded,
        "n_diverged_lanes": int(scores.diverged[:, involved].sum()),
        "diverged": diverged,
        "divergence_rule": divergence_rule(hypothesis),
        **estimated.notes,
    }
    record["unit"], record["lies"] = kind.scale(record).name, lies(interval, kind.bounds(record))
    record = kind.recorded(record)
    verdict = decide(record, p_adjusted)
    wanted = None
    if verdict.verdict == "inconclusive" and not too_thin(len(d), estimated.n_excluded):
        wanted = kind.seeds_needed(hypothesis, estimated, family)
        wanted = wanted and max(wanted, len(d) + estimated.n_excluded + 1)  # these did not decide
    return record | verdict._asdict() | {"seeds_needed": wanted}
