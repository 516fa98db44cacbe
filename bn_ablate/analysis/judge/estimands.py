"""A kind of hypothesis as it is judged: from lanes to a value per seed, an estimate, an interval, a verdict, and words.

Every kind makes *columns* `(seeds, columns)`, each the mean of a metric over cells within a seed, and estimates
`T(means of the columns over seeds)`. Where T is linear, a seed has a value of its own and the estimate is the mean of
those. `Kind` does all of it for `(a - b) - (c - d)`; the modules in `kinds` say what is different in theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.stats import ALPHA, Interval, Vector
from bn_ablate.config.hypotheses import SIGNS, Axes, Hypothesis
from bn_ablate.config.own_measures import unit_called
from bn_ablate.config.quantity import Quantity, Unit, quantity
from bn_ablate.plan import Cell

H = TypeVar("H", bound=Hypothesis)
Record: TypeAlias = Mapping[str, Any]
"""A record of `claims.json`."""
Chosen: TypeAlias = dict[str, list[dict[str, int]]]
"""Side -> how often each level was chosen, for each of its sets of cells."""


@dataclass(frozen=True)
class Estimated:
    """An estimate, and what it takes to judge it.

    Attributes:
        value: the estimate; None where no seed has a value. Beyond an axis where the level lies outside its levels.
        interval: its 95% interval, in the same terms; None where there is none.
        d: a value per seed `(seeds,)`: for the size of the effect, and the seeds that a decision would need.
        zero: what the mean of `d` is held against.
        test: its p value; None from fewer than two seeds.
        n_excluded: seeds that have no value.
        notes: what else the record says.
    """

    value: float | None
    interval: Interval | None
    d: Vector
    zero: float
    test: stats.Test | None
    n_excluded: int
    notes: dict[str, Any] = field(default_factory=dict)


class Verdict(NamedTuple):
    """The verdict, and a sentence that says why."""

    verdict: str
    reason: str


class Imagining(NamedTuple):
    """Cells whose values of a metric are imagined, and of each whether it is on a side `(cells,)`."""

    cells: tuple[Cell, ...]
    sides: dict[str, NDArray[np.bool_]]
    axes: Axes
    metric: Quantity


class Kind(Generic[H]):
    """How hypotheses of one kind are estimated, judged and put in words.

    Attributes:
        kind: its name, that of its class in `config.kinds`.
        signed: whether what is estimated is a difference, which is zero where there is no effect.
        where_diverged: what becomes of lanes that diverged, where the metric is no accuracy.
    """

    kind: ClassVar[str]
    signed: ClassVar[bool] = True
    where_diverged: ClassVar[str] = (
        "A diverged lane counts with its value where that is finite; elsewhere its seed is left out."
    )

    def summary(self, hypothesis: H) -> str:
        """What is taken of a side's cells: their mean or their spread."""
        return "mean"

    def by_seed(self, hypothesis: H, scores: Scores, axes: Axes) -> tuple[Vector, Chosen]:
        """A value per seed `(seeds,)`, not finite where a seed has none, and what was chosen."""
        values, summary = scores.of(hypothesis.metric), self.summary(hypothesis)
        sides = {side: scores.side(values, rule, hypothesis.select, summary) for side, rule in hypothesis.sides.items()}
        with np.errstate(invalid="ignore"):
            d = np.sum([SIGNS[side] * found.values for side, found in sides.items()], axis=0)
        return d, {side: [found.chosen] for side, found in sides.items()}

    def test(self, hypothesis: H, d: Vector, terms: stats.Terms) -> stats.Test:
        """The p value of two values per seed or more."""
        return stats.sign_flip_p(d - hypothesis.bound, terms)

    def estimate(self, hypothesis: H, scores: Scores, axes: Axes, terms: stats.Terms) -> Estimated:
        """Estimate what the hypothesis is about. A seed counts if every column has a finite value for it."""
        d, chosen = self.by_seed(hypothesis, scores, axes)
        kept = d[np.isfinite(d)]
        return Estimated(
            float(kept.mean()) if len(kept) else None,
            stats.mean_interval(kept, terms),
            kept,
            hypothesis.bound,
            self.test(hypothesis, kept, terms) if len(kept) > 1 else None,
            len(d) - len(kept),
            selected(hypothesis, chosen),
        )

    def recorded(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with its numbers as they are shown."""
        return record

    def seeds_needed(self, hypothesis: H, estimated: Estimated, family: int) -> int | None:
        """The seeds that would decide one of `family` hypotheses, were these the true mean and spread."""
        distance = abs(float(estimated.d.mean()) - estimated.zero)
        return stats.seeds_needed(estimated.d, distance, family)

    def hopeless(self, hypothesis: H, estimated: Estimated, last: int, share: float) -> bool:
        """Whether the last look, at `last` seeds and with that `share` of the error, cannot decide it any more."""
        return False

    def clearest(self, hypothesis: H, about: Imagining) -> Iterator[Vector]:
        """Values of cells `(cells,)`: as far to the side that is stated as can be, then as far to the other."""
        away = (-1.0, 1.0) if getattr(hypothesis, "alternative", "") == "less" else (1.0, -1.0)
        yield from (self.imagined(hypothesis, about, to) for to in away)

    def imagined(self, hypothesis: H, about: Imagining, to: float) -> Vector:
        """Values of cells `(cells,)` that make the estimate as great (`to` = 1) or as small (−1) as can be."""
        low, high = reach(hypothesis, about)
        return np.where(added(about) == (to > 0), high, low)

    def bounds(self, record: Record) -> tuple[float, float]:
        """What an interval has to lie beyond: above the second or below the first."""
        return record["bound"], record["bound"]

    def verdict(self, record: Record, p_adjusted: float, p: str) -> Verdict:
        """The verdict of seeds that can carry one; `p` says what the adjusted p is."""
        bound, side = self.bound_text(record), record["lies"]
        if side == "across":
            return Verdict("inconclusive", f"The 95% interval contains {bound}; {p}.{self.remark(record)}")
        if p_adjusted >= ALPHA:
            return Verdict("inconclusive", f"The 95% interval lies {side} {bound}, but {p}.{self.remark(record)}")
        stated = {"greater": "above", "less": "below"}.get(record["alternative"], side)
        verdict = "supported" if side == stated else "contradicted"
        return Verdict(verdict, f"The 95% interval lies {side} {bound}, and {p}.{self.remark(record)}")

    def bound_text(self, record: Record) -> str:
        """The bound with its unit."""
        return self.scale(record).difference(record["bound"]) if record["bound"] else "0"

    def remark(self, record: Record) -> str:
        """What else a reader of the verdict should know, after a space; or nothing."""
        return ""

    def details(self, record: Record) -> list[tuple[str, str]]:
        """What a report shows of the record that only this kind has, as names and texts."""
        return []

    def scale(self, record: Record) -> Unit:
        """How what is estimated is shown: as a difference of the metric."""
        unit = quantity(record["metric"], unit_called(record.get("metric_unit", ""))).unit
        return unit._replace(shown=unit.of_differences)

    def estimand(self, hypothesis: H, label: str, sides: Sequence[str]) -> str:
        """What is estimated of the metric called `label`; `sides` names the cells of each."""
        what = {"mean": "Mean", "spread": "Standard deviation of"}[self.summary(hypothesis)]
        return f"{what} {label} over {sides[0]} minus that over {sides[1]}, paired by seed"


def selected(hypothesis: Hypothesis, chosen: Chosen) -> dict[str, Any]:
    """How often each level was chosen, by side, over its cells and seeds; a part of the record."""
    if hypothesis.select is None:
        return {}
    total: dict[str, dict[str, int]] = {}
    for side, counts in chosen.items():
        total[side] = {}
        for count in counts:
            for level, times in count.items():
                total[side][level] = total[side].get(level, 0) + times
    return {"selected": total}


def added(about: Imagining) -> NDArray[np.bool_]:
    """Which cells are on a side that is added `(cells,)`."""
    found: NDArray[np.bool_] = np.logical_or.reduce([there for side, there in about.sides.items() if SIGNS[side] > 0])
    return found


def reach(hypothesis: Hypothesis, about: Imagining, width: float = 1.0) -> tuple[float, float]:
    """The least and the greatest value of the metric, or such that lie further apart than the margin over `width`."""
    unit = about.metric.unit
    far = (2 * getattr(hypothesis, "margin", 0.0) + 1) * width
    low = unit.low if math.isfinite(unit.low) else -far
    return low, unit.high if math.isfinite(unit.high) else low + 2 * far


def networks(hypothesis: Hypothesis, cells: Sequence[Cell]) -> tuple[int, ...]:
    """The cells numbered, within each side, by network: those that a choice of a level is made from have one number."""
    chosen = hypothesis.select.axis if hypothesis.select else ""
    numbers: dict[tuple[bool, ...], dict[tuple[Any, ...], int]] = {}
    found = []
    for cell in cells:
        known = numbers.setdefault(tuple(map(cell.matches, hypothesis.sides.values())), {})
        network = tuple(level for axis, level in cell.levels.items() if axis != chosen)
        found.append(known.setdefault(network, len(known)))
    return tuple(found)
