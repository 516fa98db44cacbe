"""From a study's hypotheses and its lanes to one record each: estimate, interval, p values, verdict."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.hypothesis_records import record_of
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stopping import stand
from bn_ablate.config.schema import Study
from bn_ablate.results import Results, seal
from bn_ablate.results.files import write_text


def analyze(results: Results) -> list[dict[str, Any]]:
    """Judge every hypothesis of the study: a record each, as `claims.json` holds them."""
    return judge(results.study, results.lanes)


def judge(study: Study, lanes: pl.DataFrame, resamples: int = stats.RESAMPLES) -> list[dict[str, Any]]:
    """Judge every hypothesis of `study` on its `lanes`, a row per lane as in `lanes.parquet`.

    p values are adjusted by Holm over all hypotheses of the study; one that has no p value counts with p = 1. With
    looks, every hypothesis is judged at the look at which it stopped.
    """
    if not study.hypotheses:
        return []
    if study.looks:
        return stand(study, lanes, resamples).records
    scores, terms = Scores(study, lanes), stats.Terms(resamples)
    found = [KINDS[asked.kind].estimate(asked, scores, study.axes, terms) for asked in study.hypotheses]
    adjusted = stats.holm([estimated.test.p if estimated.test else 1.0 for estimated in found])
    return [
        record_of(scores, hypothesis, study.quantity(hypothesis.metric), estimated, p_adjusted, len(found), terms)
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
