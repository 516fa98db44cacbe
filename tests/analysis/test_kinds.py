"""Every kind of hypothesis on lanes made up in memory: estimates by hand, verdicts for planted effects, symmetry."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bn_ablate
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.kinds import KINDS as JUDGED
from bn_ablate.analysis.judge.shown import estimate_text, texts
from bn_ablate.config import Study, build_study
from bn_ablate.config.kinds import KINDS as STATED
from bn_ablate.plan import make_plan
from tests.effort import examples

PACKAGE = Path(bn_ablate.__file__).parent
RATES = [0.0, 0.1, 0.2, 0.4, 0.8]
Value = Callable[[dict[str, Any], int], float | dict[str, Any] | None]

PRE, NONE = {"placement": "pre"}, {"placement": "none"}


def at(side: dict[str, Any], rate: float) -> dict[str, Any]:
    return side | {"dropout_rate": rate}


def study_of(*hypotheses: dict[str, Any], seeds: int = 10, **axes: list[Any]) -> Study:
    """A study of BN × dropout, or of the axes given, whose hypotheses have the defaults here."""
    given = [{"id": f"h{i}", "statement": "s", "metric": "gap"} | h for i, h in enumerate(hypotheses)]
    axes = axes or {"placement": ["none", "pre"], "dropout_rate": RATES}
    return build_study({"name": "x", "seeds": seeds, "axes": axes, "hypotheses": given})


def lanes_of(study: Study, value: Value) -> pl.DataFrame:
    """A row per lane; `value` gives its `gap`, or any columns. A lane for which it gives None is missing."""
    rows = []
    for lane in make_plan(study).lanes:
        said = value(lane.cell.levels, lane.seed)
        if said is not None:
            columns = said if isinstance(said, dict) else {"gap": said}
            rows.append({"seed": lane.seed, **lane.cell.levels, "status": "ok"} | columns)
    return pl.DataFrame(rows, infer_schema_length=None)


def noise(levels: dict[str, Any], seed: int, spread: float = 1.0) -> float:
    """A number of its own for every lane."""
    key = zlib.crc32(repr((sorted(levels.items()), seed)).encode())
    return spread * float(np.random.default_rng(key).normal())


def judged(value: Value, *hypotheses: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    study = study_of(*hypotheses, **more)
    return judge(study, lanes_of(study, value), resamples=499)


def test_the_spread_of_a_side_is_its_standard_deviation_within_a_seed() -> None:
    """Cells at seed + rate · (2 for pre, 1 for none): the spread over rates is that of the rates, times 2 or 1."""
    study = {"kind": "contrast", "summary": "spread", "a": PRE, "b": NONE, "alternative": "greater"}
    (record,) = judged(
        lambda levels, seed: (
            seed + levels["dropout_rate"] * (2.0 if levels["placement"] == "pre" else 1.0) + noise(levels, seed, 1e-3)
        ),
        study,
    )
    assert record["estimate"] == pytest.approx(np.std(RATES), abs=2e-3)
    assert record["verdict"] == "supported"
    assert record["estimand"].startswith("Standard deviation of")


INTERACTION = {"kind": "interaction", "a": at(PRE, 0.4), "b": at(PRE, 0.0), "c": at(NONE, 0.4), "d": at(NONE, 0.0)}
SLOPE = {"kind": "slope", "axis": "dropout_rate", "a": PRE, "b": NONE}
SHIFT = {"kind": "optimum_shift", "metric": "final_validation_loss", "axis": "dropout_rate", "a": PRE, "b": NONE}
LEVEL = {"kind": "equivalent_level", "axis": "dropout_rate", "a": at(PRE, 0.0), "b": NONE}


def test_interaction_by_hand() -> None:
    def value(levels: dict[str, Any], seed: int) -> float:
        both = levels["placement"] == "pre" and levels["dropout_rate"] == 0.4
        return 5.0 * seed + 2.0 * (levels["placement"] == "pre") - levels["dropout_rate"] + both * (1.0 + 0.1 * seed)

    (record,) = judged(value, INTERACTION | {"alternative": "greater", "margin": 0.5})
    assert record["estimate"] == pytest.approx(1.45)
    assert record["effect_size"] == pytest.approx(1.45 / (0.1 * np.arange(10).std(ddof=1)))
    assert (record["p"], record["verdict"], record["unit"]) == (2 / 2**10, "supported", "nats")
    assert record["estimand"] == (
        "Mean generalization gap (test − train loss) over placement pre and dropout_rate 0.4 (1 cell) minus that over "
        "placement pre and dropout_rate 0.0 (1 cell), less the same difference between placement none and dropout_rate "
        "0.4 (1 cell) and placement none and dropout_rate 0.0 (1 cell), paired by seed."
    )


@pytest.mark.parametrize(
    ("scale", "x", "unit"),
    [
        ("linear", [0.03, 0.1, 0.3], "nats per unit of learning rate"),
        ("log10", np.log10([0.03, 0.1, 0.3]), "nats per decade of learning rate"),
        ("rank", [0, 2, 3], "nats per level of learning rate"),
    ],
)
def test_slope_is_numpys_per_seed(scale: str, x: Any, unit: str) -> None:
    rates = [0.03, 0.1, 0.3]
    asked = {"kind": "slope", "axis": "learning_rate", "scale": scale}
    alone = asked | {"a": PRE | {"learning_rate": rates}}
    less = alone | {"b": NONE | {"learning_rate": rates}}
    axes = {"placement": ["none", "pre"], "learning_rate": [0.3, 0.05, 0.03, 0.1]}  # in any order
    first, second = judged(noise, alone, less, **axes)

    def slopes(placement: str) -> np.ndarray:
        points = [{"placement": placement, "learning_rate": rate} for rate in rates]
        return np.array([np.polyfit(x, [noise(p, seed) for p in points], 1)[0] for seed in range(10)])

    assert first["estimate"] == pytest.approx(slopes("pre").mean())
    d = slopes("pre") - slopes("none")
    assert second["estimate"] == pytest.approx(d.mean())
    assert second["effect_size"] == pytest.approx(d.mean() / d.std(ddof=1))
    assert second["unit"] == unit
    assert estimate_text(second).endswith(f" {unit}")


def bowl(best: dict[str, float], spread: float = 0.002) -> Value:
    """Validation losses with the best rate given by placement; without BN the bowl is half as steep."""

    def value(levels: dict[str, Any], seed: int) -> dict[str, Any]:
        bend = 1.0 if levels["placement"] == "pre" else 0.5
        loss = bend * (levels["dropout_rate"] - best[levels["placement"]]) ** 2 + seed + noise(levels, seed, spread)
        return {"final_validation_loss": loss, "final_validation_accuracy": -loss}

    return value


@pytest.mark.parametrize(
    ("pre", "none", "alternative", "verdict"),
    [
        (0.1, 0.3, "less", "supported"),
        (0.1, 0.3, "greater", "contradicted"),
        (0.1, 0.3, "two-sided", "supported"),
        (0.3, 0.3, "less", "inconclusive"),
        (0.0, 0.8, "less", "supported"),
    ],
)
@pytest.mark.parametrize("metric", ["final_validation_loss", "final_validation_accuracy"])
def test_shifts_of_an_optimum(pre: float, none: float, alternative: str, verdict: str, metric: str) -> None:
    asked = SHIFT | {"metric": metric, "alternative": alternative}
    (record,) = judged(bowl({"pre": pre, "none": none}), asked)
    assert record["verdict"] == verdict
    assert record["estimate"] == pytest.approx(pre - none, abs=0.05)
    assert record["interval"][0] <= record["estimate"] <= record["interval"][1]
    assert record["unit"] == "dropout rate"
    for side, best in (("a", pre), ("b", none)):
        assert record["optima"][side]["at_edge"] == (best in (0.0, 0.8))
        assert record["optima"][side]["position"] == pytest.approx(best, abs=0.03)
    assert estimate_text(record).endswith(" dropout rate")
    assert ("The best level of a and of b is the last one looked at." in record["reason"]) == (pre == 0.0)


def test_a_level_at_which_a_lane_diverged_is_never_the_best() -> None:
    usual = bowl({"pre": 0.4, "none": 0.1}, spread=0.0)

    def value(levels: dict[str, Any], seed: int) -> Any:
        fails = levels == at(PRE, 0.4) and seed == 3
        return {"final_validation_loss": math.nan, "status": "diverged"} if fails else usual(levels, seed)

    (record,) = judged(value, SHIFT)
    assert record["optima"]["a"]["level"] == 0.2
    assert (record["n_seeds"], record["n_excluded"]) == (10, 0)
    assert (record["n_diverged_lanes"], record["diverged"]) == (1, {"a": 1, "b": 0})
    assert "never the best" in record["divergence_rule"]


def test_where_lanes_diverged_at_every_level_there_is_no_optimum() -> None:
    usual = bowl({"pre": 0.4, "none": 0.1})

    def value(levels: dict[str, Any], seed: int) -> Any:
        fails = levels["placement"] == "none" and RATES[seed % 5] == levels["dropout_rate"]
        return {"final_validation_loss": math.nan, "status": "diverged"} if fails else usual(levels, seed)

    (record,) = judged(value, SHIFT)
    assert (record["verdict"], record["estimate"], record["interval"], record["p"]) == ("inconclusive", *[None] * 3)
    assert (record["n_excluded"], record["diverged"]) == (10, {"a": 0, "b": 10})


def falling(pre: float, spread: float = 0.01, slope: float = -1.0) -> Value:
    """A gap that falls (or rises) along the rate without BN, and with BN is what it is without at the rate `pre`."""

    def value(levels: dict[str, Any], seed: int) -> float:
        rate = levels["dropout_rate"] + (pre if levels["placement"] == "pre" else 0.0)
        return seed + slope * rate + noise(levels, seed, spread)

    return value


@pytest.mark.parametrize("slope", [-1.0, 1.0])
@pytest.mark.parametrize(
    ("pre", "level", "alternative", "verdict", "off"),
    [
        (0.3, 0.1, "greater", "supported", {}),
        (0.3, 0.6, "greater", "contradicted", {}),
        (0.3, 0.6, "less", "supported", {}),
        (0.3, 0.3, "greater", "inconclusive", {}),
        (0.3, 0.25, "two-sided", "supported", {}),
        (1.5, 0.8, "greater", "supported", {"estimate": ">", "low": ">", "high": ">"}),
        (-0.7, 0.0, "greater", "contradicted", {"estimate": "<", "low": "<", "high": "<"}),
    ],
)
def test_equivalent_levels(
    pre: float, level: float, alternative: str, verdict: str, off: dict[str, str], slope: float
) -> None:
    (record,) = judged(falling(pre, slope=slope), LEVEL | {"level": level, "alternative": alternative})
    assert record["verdict"] == verdict
    assert record["estimate"] == pytest.approx(min(max(pre, 0.0), 0.8), abs=0.02)
    assert record["off_axis"] == off
    assert all(0.0 <= end <= 0.8 for end in record["interval"])
    assert record["curve"] == ("rising" if slope > 0 else "falling")
    shown = texts(record)
    assert [shown.estimate[:1], shown.low[:1], shown.high[:1]] == [off.get(k, "0") for k in ("estimate", "low", "high")]
    assert record["reason"].startswith("The 95% interval")


def test_a_curve_that_goes_nowhere_has_no_equivalent_level() -> None:
    (record,) = judged(falling(0.3, spread=1.0, slope=0.0), LEVEL | {"level": 0.1})
    assert record["verdict"] == "inconclusive"
    assert record["p"] > 0.05
    assert "curve's slope" in record["test"]


def test_equivalent_level_between_logarithms() -> None:
    rates = [0.001, 0.01, 0.1]

    def value(levels: dict[str, Any], seed: int) -> float:
        gap = math.log10(levels["weight_decay"]) if levels["placement"] == "none" else math.log10(0.03)
        return seed + gap + noise(levels, seed, 1e-4)

    asked = LEVEL | {"axis": "weight_decay", "scale": "log10", "a": PRE | {"weight_decay": 0.001}, "level": 0.01}
    (record,) = judged(value, asked, placement=["none", "pre"], weight_decay=rates)
    assert record["estimate"] == pytest.approx(0.03, rel=1e-3)
    assert record["verdict"] == "supported"
    assert record["unit"] == "weight decay"


def tuned(levels: dict[str, Any], seed: int) -> dict[str, Any]:
    """Without BN the validation loss is lowest at 0.1, or at 0.3 for seeds divisible by 3; the test loss says which."""
    best = 0.3 if levels["placement"] == "pre" or seed % 3 == 0 else 0.1
    test = levels["learning_rate"] + 10 * (levels["placement"] == "pre") + 0.01 * seed
    row = {"final_validation_loss": abs(levels["learning_rate"] - best), "final_test_loss": test}
    return row | {"final_validation_accuracy": 1 - row["final_validation_loss"]}


TUNED_AXES: dict[str, list[Any]] = {"placement": ["none", "pre"], "learning_rate": [0.03, 0.1, 0.3]}
TUNED = {"kind": "contrast", "metric": "final_test_loss", "a": PRE, "b": NONE}


@pytest.mark.parametrize("metric", ["final_validation_loss", "final_validation_accuracy"])
def test_every_network_takes_the_level_that_validation_prefers(metric: str) -> None:
    asked = TUNED | {"select": {"axis": "learning_rate", "metric": metric}}
    (record,) = judged(tuned, asked, **TUNED_AXES)
    chosen = np.where(np.arange(10) % 3 == 0, 0.3, 0.1)
    assert record["estimate"] == pytest.approx((10.3 - chosen).mean())
    assert record["selected"] == {"a": {"0.03": 0, "0.1": 0, "0.3": 10}, "b": {"0.03": 0, "0.1": 6, "0.3": 4}}
    assert record["select"] == {"axis": "learning_rate", "metric": metric}
    assert f"best by its {metric.replace('_', ' ')}" in record["estimand"]


def test_a_diverged_lane_is_not_chosen_and_a_missing_one_leaves_no_choice() -> None:
    def value(levels: dict[str, Any], seed: int) -> dict[str, Any] | None:
        if levels["learning_rate"] == 0.3 and seed == 5:
            return {"final_validation_loss": math.nan, "final_test_loss": math.nan, "status": "diverged"}
        return None if (levels["learning_rate"], seed) == (0.03, 7) else tuned(levels, seed)

    (record,) = judged(value, TUNED | {"select": {"axis": "learning_rate"}}, **TUNED_AXES)
    assert record["selected"]["a"] == {"0.03": 0, "0.1": 1, "0.3": 8}
    assert (record["n_seeds"], record["n_excluded"], record["n_diverged_lanes"]) == (9, 1, 2)


def test_a_row_for_each_level_is_a_hypothesis_of_its_own() -> None:
    asked = {"id": "g", "kind": "contrast", "each": ["placement", "dropout_rate"], "alternative": "greater"}
    sides = {"a": {"placement": ["post", "pre"], "dropout_rate": [0.0, 0.1]}, "b": NONE}
    axes = {"placement": ["none", "pre", "post"], "dropout_rate": [0.0, 0.1, 0.2]}

    def value(levels: dict[str, Any], seed: int) -> float:
        return {"none": 0.0, "pre": 1.0, "post": 2.0}[levels["placement"]] + noise(levels, seed, 0.01)

    records = judged(value, asked | sides, **axes)
    assert [record["id"] for record in records] == ["g.pre.0.0", "g.pre.0.1", "g.post.0.0", "g.post.0.1"]
    assert records[1]["statement"] == "s (placement pre, dropout rate 0.1)"
    assert (records[1]["a"], records[1]["b"]) == (at(PRE, 0.1), at(NONE, 0.1))
    assert [record["estimate"] for record in records] == pytest.approx([1, 1, 2, 2], abs=0.02)
    assert [record["p_adjusted"] for record in records] == pytest.approx([4 * 2 / 2**10] * 4)


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("asked", [SHIFT | {"metric": "final_validation_loss"}, LEVEL | {"level": 0.2}])
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_and_no_noise_are_no_trouble(asked: dict[str, Any], seeds: int, spread: float) -> None:
    def value(levels: dict[str, Any], seed: int) -> dict[str, Any]:
        gap = falling(0.3, spread)(levels, seed)
        return {"gap": gap, "final_validation_loss": gap}

    (record,) = judged(value, asked, seeds=seeds)
    assert record["verdict"] in ("inconclusive", "supported")
    assert seeds >= 5 or record["verdict"] == "inconclusive"
    assert (record["interval"] is None) == (seeds == 1)


KINDS = [
    {"kind": "contrast", "a": PRE, "b": NONE},
    INTERACTION,
    SLOPE,
    SLOPE | {"scale": "rank"},
    SHIFT,
    SHIFT | {"scale": "rank"},
]


@given(st.integers(0, 10_000), st.sampled_from(KINDS), st.sampled_from([0.0, 0.1]), st.floats(-2, 2))
@settings(max_examples=examples(10, 50))
def test_swapping_the_sides_negates_all(seed: int, kind: dict[str, Any], margin: float, effect: float) -> None:
    rng = np.random.default_rng(seed)
    drawn = {(p, rate, s): rng.normal() for p in ("none", "pre") for rate in RATES for s in range(7)}

    def value(levels: dict[str, Any], seed: int) -> dict[str, Any]:
        v = drawn[levels["placement"], levels["dropout_rate"], seed]
        v += effect * (levels["placement"] == "pre") * (1 + levels["dropout_rate"])
        return {"gap": v, "final_validation_loss": v}

    swapped = kind | {"a": kind["b"], "b": kind["a"]}
    if kind["kind"] == "interaction":
        swapped |= {"c": kind["d"], "d": kind["c"]}
    bound = {} if kind["kind"] == "optimum_shift" else {"margin": margin}
    one, other = judged(
        value, kind | {"alternative": "greater"} | bound, swapped | {"alternative": "less"} | bound, seeds=7
    )
    assert other["estimate"] == pytest.approx(-one["estimate"])
    low, high = one["interval"]
    assert other["interval"] == pytest.approx([-high, -low], abs=0.02 * (high - low))  # quantiles of 499 resamples
    assert other["p"] == pytest.approx(one["p"])
    assert other["verdict"] == one["verdict"]


def test_a_kind_is_judged_under_the_name_that_it_is_declared_by() -> None:
    assert STATED.keys() == JUDGED.keys()
    assert all(JUDGED[name].kind == name for name in STATED)


OF_ONE_SIDE = {
    "config/kinds/mean_alone.py": """
from __future__ import annotations
from typing import Literal
from bn_ablate.config.hypotheses import Alternative, Cells, Hypothesis, Margin
from bn_ablate.config.metrics import Metric

class MeanAlone(Hypothesis):
    kind: Literal["mean_alone"]
    metric: Metric
    a: Cells
    alternative: Alternative = "greater"
    margin: Margin = 0.0
""",
    "analysis/judge/kinds/means_alone.py": """
from __future__ import annotations
from bn_ablate.analysis.judge.estimands import Kind
from bn_ablate.config.kinds.mean_alone import MeanAlone

class MeansAlone(Kind[MeanAlone]):
    kind = "mean_alone"

    def estimand(self, hypothesis, label, sides):
        return f"Mean {label} over {sides[0]}"
""",
}
JUDGE_IT = """
import polars as pl
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.outlook import outlook
from bn_ablate.analysis.judge.shown import texts
from bn_ablate.config import ConfigError, build_study
from bn_ablate.plan import make_plan

asked = {"id": "h", "statement": "s", "kind": "mean_alone", "metric": "gap", "a": {"placement": "pre"}, "margin": 0.5}
study = build_study({"name": "x", "axes": {"placement": ["none", "pre"]}, "hypotheses": [asked]})
plan = make_plan(study)
rows = [{**lane.cell.levels, "seed": lane.seed, "status": "ok", "gap": 1 + lane.seed / 9} for lane in plan.lanes]
(record,) = judge(study, pl.DataFrame(rows), resamples=99)
print(outlook(plan)[0].fewest, record["verdict"], texts(record).estimate, record["estimand"])
try:
    build_study({"name": "x", "hypotheses": [asked | {"kind": "mean_alon"}]})
except ConfigError as error:
    print(error.problems[0].message.partition("; ")[2])
"""


def test_a_new_kind_is_two_files(tmp_path: Path) -> None:
    """One that says what it states and one that says what is different in its words; nothing else is edited."""
    shutil.copytree(PACKAGE, tmp_path / "bn_ablate")  # with its compiled modules
    for name, text in OF_ONE_SIDE.items():
        (tmp_path / "bn_ablate" / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", JUDGE_IT], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [
        "6 supported +1.500 Mean generalization gap (test − train loss) over placement pre (1 cell).",
        "did you mean 'mean_alone'?",
    ]
