"""From a study's hypotheses and its lanes to one record each: estimate, interval, p values, verdict."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import polars as pl

from bn_ablate.analysis import stats
from bn_ablate.analysis.lanes import matching
from bn_ablate.analysis.metrics import metric as describe
from bn_ablate.analysis.verdicts import Verdict, bound_of, decide, too_thin
from bn_ablate.config.hypotheses import Contrast, Hypothesis
from bn_ablate.plan import Cell, cells_of
from bn_ablate.results import Results, seal
from bn_ablate.results.files import write_text


class Paired(NamedTuple):
    """The paired differences of one hypothesis `(seeds,)`, and how many of the study's seeds have none."""

    d: stats.Vector
    n_excluded: int


def analyze(results: Results) -> list[dict[str, Any]]:
    """Judge every hypothesis of the study: a record each, as `claims.json` holds them.

    p values are adjusted by Holm over all hypotheses of the study; one that has no p value counts with p = 1.
    """
    study = results.study
    if not study.hypotheses:
        return []
    cells = cells_of(study)
    pairs = [paired_difference(results, hypothesis, cells) for hypothesis in study.hypotheses]
    tests = [_test(hypothesis, pair.d) for hypothesis, pair in zip(study.hypotheses, pairs, strict=True)]
    adjusted = stats.holm([test.p if test else 1.0 for test in tests])
    return [
        _record(results, hypothesis, cells, pair, test, p_adjusted)
        for hypothesis, pair, test, p_adjusted in zip(study.hypotheses, pairs, tests, adjusted, strict=True)
    ]


def write_claims(results: Results) -> list[dict[str, Any]]:
    """Judge every hypothesis, write `claims.json` into the results folder, and seal it."""
    records = analyze(results)
    said = {"study": results.name, "alpha": stats.ALPHA, "hypotheses": records}
    write_text(results.path / "claims.json", json.dumps(said, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    seal(results.path)
    return records


def paired_difference(results: Results, hypothesis: Hypothesis, cells: tuple[Cell, ...]) -> Paired:
    """Per seed, the mean of the metric over the cells of `a` minus that over the cells of `b`.

    A seed is left out where a lane of either side is missing or its metric is null or not finite. Losses of diverged
    lanes are not finite; their accuracy is what they scored, and stays.
    """
    sides = [
        _seed_means(results, rule, hypothesis.metric, sum(cell.matches(rule) for cell in cells)).rename({"value": side})
        for side, rule in (("a", hypothesis.a), ("b", hypothesis.b))
    ]
    both = sides[0].join(sides[1], on="seed").sort("seed")
    d = (both["a"] - both["b"]).to_numpy().astype(float)
    return Paired(d, len(results.study.seed_list) - len(d))


def _seed_means(results: Results, rule: dict[str, Any], metric: str, n_cells: int) -> pl.DataFrame:
    """`seed`, `value`: the metric's mean over the cells of `rule`, for the seeds at which all of them have it."""
    lanes = results.lanes.filter(matching(results.axes, rule), pl.col(metric).is_finite())
    means = lanes.group_by("seed").agg(pl.col(metric).mean().alias("value"), pl.len().alias("cells"))
    return means.filter(pl.col("cells") == n_cells).drop("cells")


def _test(hypothesis: Hypothesis, d: stats.Vector) -> stats.Test | None:
    if len(d) < 2:
        return None
    if isinstance(hypothesis, Contrast):
        return stats.sign_flip_p(d - bound_of(hypothesis))
    return stats.tost_p(d, hypothesis.margin)


def _record(
    results: Results,
    hypothesis: Hypothesis,
    cells: tuple[Cell, ...],
    pair: Paired,
    test: stats.Test | None,
    p_adjusted: float,
) -> dict[str, Any]:
    d, metric = pair.d, describe(hypothesis.metric)
    interval = stats.bca_interval(d)
    thin = too_thin(len(d), pair.n_excluded)
    if thin or interval is None:
        verdict = Verdict("inconclusive", thin or "")
    else:
        verdict = decide(hypothesis, interval, p_adjusted, metric)
    involved = results.lanes.filter(matching(results.axes, hypothesis.a) | matching(results.axes, hypothesis.b))
    wanted = None
    if verdict.verdict == "inconclusive" and not thin:
        wanted = _seeds_needed(hypothesis, d, len(results.study.hypotheses))
    return {
        "id": hypothesis.id,
        "claim": hypothesis.claim,
        "statement": hypothesis.statement,
        "kind": hypothesis.kind,
        "metric": hypothesis.metric,
        **({"alternative": hypothesis.alternative} if isinstance(hypothesis, Contrast) else {}),
        "margin": hypothesis.margin,
        "a": hypothesis.a,
        "b": hypothesis.b,
        "estimand": _estimand(hypothesis, cells),
        "unit": metric.unit,
        "estimate": float(d.mean()) if len(d) else None,
        "interval": [interval.low, interval.high] if interval else None,
        "interval_level": stats.LEVEL,
        "interval_method": interval.method if interval else None,
        "effect_size": stats.effect_size(d),
        "p": test.p if test else None,
        "p_adjusted": p_adjusted if test else None,
        "test": test.method if test else None,
        "n_seeds": len(d),
        "n_excluded": pair.n_excluded,
        "n_diverged_lanes": int((involved["status"] == "diverged").sum()),
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "seeds_needed": wanted,
    }


def _seeds_needed(hypothesis: Hypothesis, d: stats.Vector, family: int) -> int | None:
    mean = float(d.mean())
    if isinstance(hypothesis, Contrast):
        return stats.seeds_needed(d, abs(mean - bound_of(hypothesis)), family)
    return stats.seeds_needed(d, hypothesis.margin - abs(mean), family, both_sides=True)


def _estimand(hypothesis: Hypothesis, cells: tuple[Cell, ...]) -> str:
    """What is estimated, as a sentence."""

    def side(rule: dict[str, Any]) -> str:
        n = sum(cell.matches(rule) for cell in cells)
        levels = [
            f"{axis} {', '.join(map(str, level if isinstance(level, list | tuple) else [level]))}"
            for axis, level in rule.items()
        ]
        return f"{' and '.join(levels) or 'all levels'} ({n} {'cell' if n == 1 else 'cells'})"

    label = describe(hypothesis.metric).label
    return f"Mean {label} over {side(hypothesis.a)} minus that over {side(hypothesis.b)}, paired by seed."
