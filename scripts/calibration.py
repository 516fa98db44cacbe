"""How often verdicts are right: studies with planted effects, judged by the functions that judge real ones.

    nice .venv/bin/python scripts/calibration.py             # 2000 studies a row
    nice .venv/bin/python scripts/calibration.py 200
    nice .venv/bin/python scripts/calibration.py 2000 looks  # studies whose seeds go on until decided, alone

Prints the tables of docs/statistics.md: the coverage of the 95% interval of a mean, what each kind of hypothesis
decides where there is no effect, and its power; and the same of studies with looks (`calibration_looks.py`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import stats as scipy_stats

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.verdicts import decide
from bn_ablate.config import Study, build_study

RESAMPLES = 999
"""Fewer than real studies take, which makes an interval no better and the simulation ten times faster."""

Draw = Callable[[np.random.Generator, Any], Any]

SHAPES: dict[str, tuple[Draw, float]] = {
    "normal": (lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": (lambda rng, n: rng.exponential(size=n), 1.0),
    "gamma, shape 4": (lambda rng, n: rng.gamma(4.0, size=n), 4.0),
    "Student t, 3 degrees of freedom": (lambda rng, n: rng.standard_t(3, size=n), 0.0),
    "two accuracies on 300 examples": (
        lambda rng, n: (rng.binomial(300, 0.95, size=n) - rng.binomial(300, 0.95, size=n)) / 300,
        0.0,
    ),
    "normal, rounded to its standard deviation": (lambda rng, n: np.round(rng.normal(size=n)), 0.0),
    "normal, 10% of five times the spread": (
        lambda rng, n: rng.normal(size=n) * np.where(rng.random(n) < 0.1, 5.0, 1.0),
        0.0,
    ),
    "normal, 10% shifted by 4": (lambda rng, n: rng.normal(size=n) + np.where(rng.random(n) < 0.1, 4.0, 0.0), 0.4),
}
"""How differences are drawn, and their true mean."""

RATES = (0.0, 0.2, 0.4, 0.6, 0.8)
LEARNING_RATES = (0.03, 0.1, 0.3)
FAMILY = 8
"""Power is also given for a hypothesis that is one of eight."""


def study_of(seeds: int | dict[str, Any]) -> Study:
    """A study with a hypothesis of every kind; in each, `Truth` says what is true."""
    pre, none = {"placement": "pre", "learning_rate": 0.1}, {"placement": "none", "learning_rate": 0.1}
    at = [{"dropout_rate": rate} for rate in RATES]
    kinds: list[dict[str, Any]] = [
        {"id": "contrast", "metric": "gap", "a": pre | at[0], "b": none | at[0]},
        {"id": "contrast_selected", "kind": "contrast", "metric": "final_test_loss"}
        | {"a": {"placement": "pre"} | at[0], "b": {"placement": "none"} | at[0]}
        | {"select": {"axis": "learning_rate", "metric": "final_validation_loss"}},
        {"id": "equivalence", "metric": "accuracy_gap", "a": pre | at[0], "b": none | at[0], "margin": MARGIN},
        {"id": "interaction", "metric": "gap"}
        | {"a": pre | at[3], "b": pre | at[0], "c": none | at[3], "d": none | at[0]},
        {"id": "slope", "metric": "gap", "axis": "dropout_rate", "a": pre, "b": none},
        {"id": "optimum_shift", "metric": "final_validation_loss", "axis": "dropout_rate", "a": pre, "b": none},
        {"id": "equivalent_level", "metric": "underfitting", "axis": "dropout_rate"}
        | {"a": pre | at[0], "b": none, "level": LEVEL},
    ]
    axes = {"placement": ["none", "pre"], "dropout_rate": [*RATES], "learning_rate": [*LEARNING_RATES]}
    hypotheses = [{"kind": kind["id"], "statement": "s", "alternative": "greater"} | kind for kind in kinds]
    for hypothesis in hypotheses:
        if hypothesis["kind"] == "equivalence":
            del hypothesis["alternative"]
    elsewhere = [{"learning_rate": [0.03, 0.3], "dropout_rate": [*RATES[1:]]}]  # cells that no hypothesis looks at
    table = {"name": "calibration", "seeds": seeds, "axes": axes, "exclude": elsewhere, "hypotheses": hypotheses}
    return build_study(table)


MARGIN = 1.5
LEVEL = 0.3
FALL = 8.0
"""The gap falls by this much from dropout rate 0 to 1, in standard deviations of a paired difference."""
KINDS = (
    "contrast",
    "contrast_selected",
    "equivalence",
    "interaction",
    "slope",
    "optimum_shift",
    "equivalent_level",
)


class Truth(NamedTuple):
    """What is true of each kind in a simulated study: zero where there is no effect.

    Losses are in standard deviations of the difference of two lanes of one seed.
    """

    contrast: float = 0.0
    contrast_selected: float = 0.0
    equivalence: float = MARGIN
    interaction: float = 0.0
    slope: float = 0.0
    optimum_shift: float = 0.0
    equivalent_level: float = LEVEL


def lanes_of(study: Study, truth: Truth, noise: Draw, rng: np.random.Generator) -> pl.DataFrame:
    """The lanes of one simulated study in which `truth` holds.

    Every lane has its seed's effect and a noise of its own. Without BN the best dropout rate is 0.3 and the validation
    loss bends half as much, so that two curves with the same optimum still differ.
    """
    seeds, shape = len(study.seed_list), (len(study.seed_list), 2, len(RATES), len(LEARNING_RATES))
    own = 3 * rng.normal(size=(seeds, 1, 1, 1)) + noise(rng, shape) / np.sqrt(2)
    bn = np.array([0.0, 1.0]).reshape(1, 2, 1, 1)
    rate = np.array(RATES).reshape(1, 1, -1, 1)
    bend = np.where(bn > 0, 20.0, 10.0)
    metrics = {
        "gap": own - FALL * rate + bn * (truth.contrast + truth.interaction * rate / 0.6 + truth.slope * rate),
        "accuracy_gap": own + truth.equivalence * bn,
        "underfitting": own - FALL * (rate + truth.equivalent_level * bn),
        "final_validation_loss": own + bend * (rate - 0.3 - truth.optimum_shift * bn) ** 2,
        "final_test_loss": own + truth.contrast_selected * bn + 0.5 * rng.normal(size=shape),
    }
    grid = np.meshgrid(study.seed_list, ["none", "pre"], RATES, LEARNING_RATES, indexing="ij")
    names = ("seed", "placement", "dropout_rate", "learning_rate")
    columns = {name: values.ravel().tolist() for name, values in zip(names, grid, strict=True)}
    return pl.DataFrame(
        columns | {name: values.ravel() for name, values in metrics.items()} | {"status": ["ok"] * own.size}
    )


class Tally(NamedTuple):
    """What came of some studies: verdicts alone and as one of eight hypotheses, and how many intervals cover."""

    alone: Counter[str]
    of_many: Counter[str]
    covered: int
    studies: int

    def share(self, *verdicts: str, of_many: bool = False) -> float:
        """The share of studies with one of these verdicts."""
        counts = self.of_many if of_many else self.alone
        return sum(counts[verdict] for verdict in verdicts) / self.studies


def studies_of(
    kinds: tuple[str, ...], truth: Truth, studies: int, noise: str, seeds: int | dict[str, Any] = 10
) -> Iterator[list[dict[str, Any]]]:
    """The records of simulated studies that have the hypotheses of these kinds."""
    study = study_of(seeds)
    study = study.model_copy(update={"hypotheses": tuple(h for h in study.hypotheses if h.id in kinds)})
    draw, mean = SHAPES[noise]
    spread = draw(np.random.default_rng(0), 100_000).std()
    rng = np.random.default_rng([len(kinds), KINDS.index(kinds[0]), [*SHAPES].index(noise)])
    for _ in range(studies):
        yield judge(study, lanes_of(study, truth, lambda rng, size: (draw(rng, size) - mean) / spread, rng), RESAMPLES)


def simulate(kind: str, truth: Truth, studies: int, noise: str = "normal") -> Tally:
    """Judge the hypothesis of one kind in `studies` simulated studies."""
    alone, of_many, covered = Counter[str](), Counter[str](), 0
    true = getattr(truth, kind)
    for (record,) in studies_of((kind,), truth, studies, noise):
        alone[record["verdict"]] += 1
        of_many[decide(record, min(1.0, FAMILY * record["p"])).verdict] += 1
        covered += covers(record, true)
    return Tally(alone, of_many, covered, studies)


def covers(record: dict[str, Any], true: float) -> bool:
    """Whether the record's interval covers what is `true`."""
    (low, high), off = record["interval"], record.get("off_axis", {})
    return bool((low <= true or off.get("low") == "<") and (true <= high or off.get("high") == ">"))


def any_wrong(studies: int, noise: str) -> float:
    """The share of studies with all kinds, none with an effect, in which any verdict but inconclusive comes up."""
    wrong = 0
    for records in studies_of(KINDS, Truth(), studies, noise):
        wrong += any(record["verdict"] != "inconclusive" for record in records)
    return wrong / studies


def coverage(shape: str, n: int, samples: int) -> tuple[float, float, float]:
    """The shares of samples whose plain BCa interval, Student's, and the one that verdicts use cover the true mean."""
    draw, mean = SHAPES[shape]
    rng = np.random.default_rng([n, [*SHAPES].index(shape)])
    covered = np.zeros(3)
    for _ in range(samples):
        d = draw(rng, n)
        used = stats.mean_interval(d, stats.Terms(RESAMPLES))
        assert used is not None
        if stats.constant(d):
            covered += used.low <= mean <= used.high
            continue
        half = float(stats.t_quantile(n)) * d.std(ddof=1) / np.sqrt(n)
        low, high = scipy_stats.bootstrap((d,), np.mean, n_resamples=RESAMPLES, rng=rng).confidence_interval
        covered += np.array([low <= mean <= high, abs(d.mean() - mean) <= half, used.low <= mean <= used.high])
    plain, students, ours = covered / samples
    return float(plain), float(students), float(ours)


NULLS = ("normal", "exponential", "normal, rounded to its standard deviation")
EFFECTS: dict[str, tuple[float, ...]] = {
    "contrast": (0.5, 1.0, 1.5, 2.0, 2.5),
    "contrast_selected": (0.5, 1.0, 1.5, 2.0, 2.5),
    "equivalence": (0.0, 0.25, 0.5, 0.75, 1.0),
    "interaction": (0.5, 1.0, 1.5, 2.0, 2.5),
    "slope": (1.0, 2.0, 3.0, 4.0, 5.0),
    "optimum_shift": (0.05, 0.1, 0.15, 0.2, 0.3),
    "equivalent_level": (0.35, 0.4, 0.45, 0.5, 0.6),
}
"""What is planted for the power table, in the estimate's unit."""


def print_coverage(studies: int) -> None:
    """How often intervals of a mean cover it."""
    print("| differences | n | plain BCa | Student's t | as used here |\n|---|---|---|---|---|")
    for shape in SHAPES:
        for n in (5, 7, 10, 20):
            said = " | ".join(f"{share:.1%}" for share in coverage(shape, n, studies))
            print(f"| {shape} | {n} | {said} |", flush=True)


def print_errors(studies: int) -> None:
    """What comes of hypotheses where there is no effect, or one that lies at the margin of equivalence."""
    print("| kind | noise of a lane | supported | contradicted | equivalent | interval covers |")
    print("|---|---|---|---|---|---|")
    for kind in KINDS:
        for noise in NULLS:
            tally = simulate(kind, Truth(), studies, noise)
            shares = [tally.share(verdict) for verdict in ("supported", "contradicted", "equivalent")]
            row = " | ".join(f"{share:.1%}" for share in (*shares, tally.covered / studies))
            print(f"| {kind} | {noise} | {row} |", flush=True)
    print(f"\nAny verdict but inconclusive in a study with all seven: {any_wrong(studies, NULLS[0]):.1%}", flush=True)


def print_power(studies: int) -> None:
    """How often an effect is seen, alone and as one of eight hypotheses."""
    print("| kind | planted | seen, alone | seen, one of eight | interval covers |\n|---|---|---|---|---|")
    for kind, effects in EFFECTS.items():
        right = "equivalent" if kind == "equivalence" else "supported"
        for effect in effects:
            tally = simulate(kind, Truth()._replace(**{kind: effect}), studies)
            alone, of_many = tally.share(right), tally.share(right, of_many=True)
            print(f"| {kind} | {effect:g} | {alone:.0%} | {of_many:.0%} | {tally.covered / studies:.1%} |", flush=True)


def main(studies: int, alone: str = "") -> None:
    """Print the tables, or those of looks `alone`."""
    from calibration_looks import print_looks

    print(f"Standard error of a share of 5%: {np.sqrt(0.05 * 0.95 / studies):.1%}\n")
    if alone == "looks":
        print_looks(studies)
        return
    print_coverage(studies)
    print()
    print_errors(studies)
    print()
    print_power(max(studies // 4, 1))
    print()
    print_looks(studies)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000, *sys.argv[2:3])
