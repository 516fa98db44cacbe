"""Before a lane is trained: whether any outcome could decide each hypothesis, and how many seeds would do.

For each hypothesis the clearest outcomes are imagined: every seed agrees, and the sides lie as far apart as the metric
lets them. They are judged by what judges real ones (`Kind.estimate`, Holm, `decide`), in the family of the study, whose
other hypotheses are imagined to be as clear. What is inconclusive even then is inconclusive whatever comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.estimands import Estimated, Imagining, networks
from bn_ablate.analysis.judge.hypothesis_records import record_of
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.spending import at_once, terms_of
from bn_ablate.analysis.judge.stats import Vector
from bn_ablate.config.hypotheses import SIDES, Hypothesis
from bn_ablate.config.quantity import Quantity
from bn_ablate.plan import Cell, Plan

MOST_SEEDS = 40
"""More seeds than these, whose signs are drawn at random, give no smaller p: so many are imagined at most."""
TELLING_SEEDS = 10
"""What so many seeds cannot decide in a family of its own, no number of them can."""
TELLS_NOTHING = {"id", "claim", "primary", "statement", "each", "select", "metric", *SIDES}
"""Keys of a hypothesis that change no estimate, where its cells and outcomes are known."""


@dataclass(frozen=True)
class Outlook:
    """What can become of a hypothesis.

    Attributes:
        id: the hypothesis's.
        verdict: what it can be decided to be: what it states (`supported`, `equivalent`), or else `contradicted`;
            `inconclusive` where no number of seeds decides it.
        certain: whether that is its verdict whatever comes out, given seeds enough: an equivalence within a margin as
            wide as the metric.
        fewest: the fewest seeds with which some outcome decides it so; None where no number of them does.
        decidable: whether the study's seeds suffice.
        alone: whether they, or more, would suffice for the hypothesis alone.
        p, p_adjusted: the smallest p that they can give, and what Holm makes of it where all are so small.
        reason: the verdict's on the outcome that is clearest for what the hypothesis states.
    """

    id: str
    verdict: str
    certain: bool
    fewest: int | None
    decidable: bool
    alone: bool
    p: float
    p_adjusted: float
    reason: str


class Imagined(Scores):
    """Lanes as nobody has trained them: `values` `(cells,)`, the same for every seed."""

    def __init__(self, cells: tuple[Cell, ...], values: Vector, n_seeds: int) -> None:
        self.cells, self.n_seeds = cells, n_seeds
        self.diverged = np.zeros((n_seeds, len(cells)), bool)
        self._values = np.tile(values, (n_seeds, 1))

    def of(self, metric: str) -> Vector:
        """The values, of whatever metric."""
        return self._values

    def quality(self, metric: str) -> Vector:
        """The values, so that a choice among equal ones changes nothing."""
        return np.where(np.isnan(self._values), -np.inf, self._values)


def outlook(plan: Plan) -> list[Outlook]:
    """What can become of each hypothesis of `plan`, in the study's order."""
    asked = [_Asked(hypothesis, plan) for hypothesis in plan.study.hypotheses]
    known, left = _Known(asked, plan), set(range(len(asked)))
    fewest: dict[int, tuple[int, str]] = {}
    for seeds in range(stats.FEWEST_SEEDS, stats.EXACT_SEEDS + 1):
        said = {i: known.clearest(i, seeds)[0] for i in left}
        fewest |= {i: (seeds, verdict) for i, verdict in said.items() if verdict != "inconclusive"}
        left -= fewest.keys()
        if seeds == TELLING_SEEDS:
            left -= {i for i in left if known.clearest(i, seeds, alone=True)[0] == "inconclusive"}
    return [_outlook(known, i, one, len(plan.seeds), *fewest.get(i, (None, ""))) for i, one in enumerate(asked)]


def first_looks(plan: Plan) -> dict[str, int | None]:
    """The number of the first look at which some outcome decides each hypothesis of `plan`; None where none does."""
    asked = [_Asked(hypothesis, plan) for hypothesis in plan.study.hypotheses]
    known, left = _Known(asked, plan), list(range(len(asked)))
    first: dict[int, int] = {}
    for number, seeds in enumerate(plan.study.looks, 1):
        first |= {i: number for i in left if known.clearest(i, seeds)[0] != "inconclusive"}
        left = [i for i in left if i not in first]
    return {one.hypothesis.id: first.get(i) for i, one in enumerate(asked)}


def _outlook(known: _Known, i: int, one: _Asked, seeds: int, fewest: int | None, verdict: str) -> Outlook:
    n = min(seeds, MOST_SEEDS)
    enough = known.clearest(i, n)[0]
    far = known.judged(i, len(one.outcomes) - 1, TELLING_SEEDS, alone=True)[0]
    certain = enough == "equivalent" and far != "contradicted"
    p, adjusted = known.smallest(i, n)
    return Outlook(
        one.hypothesis.id,
        verdict or enough,
        certain,
        fewest,
        decidable=enough != "inconclusive",
        alone=known.clearest(i, TELLING_SEEDS, alone=True)[0] != "inconclusive",
        p=p,
        p_adjusted=adjusted,
        reason=known.judged(i, 0, max(n, fewest or 0))[1],
    )


class _Known:
    """The clearest outcomes of a study's hypotheses, judged once for every number of seeds."""

    def __init__(self, asked: Sequence[_Asked], plan: Plan) -> None:
        self._asked, self._axes = asked, plan.study.axes
        self._estimated: dict[tuple[Any, ...], Estimated] = {}
        self._judged: dict[tuple[Any, ...], tuple[str, str]] = {}
        self._smallest: dict[int, list[float]] = {}
        self._adjusted: dict[int, list[float]] = {}
        looks = plan.study.looks
        self._terms = {n: terms_of(looks, number, stats.RESAMPLES) for number, n in enumerate(looks, 1)}

    def clearest(self, i: int, n: int, alone: bool = False) -> tuple[str, str]:
        """The verdict on hypothesis `i` with `n` seeds that is nearest to what it states, and why."""
        said: list[tuple[str, str]] = []
        for outcome in range(len(self._asked[i].outcomes)):
            said.append(self.judged(i, outcome, n, alone))
            if said[-1][0] in ("supported", "equivalent"):
                return said[-1]
        return next((verdict for verdict in said if verdict[0] != "inconclusive"), said[0])

    def judged(self, i: int, outcome: int, n: int, alone: bool = False) -> tuple[str, str]:
        """The verdict on one of the outcomes imagined for hypothesis `i`, in its family or `alone`, and why."""
        one = self._asked[i]
        found = self._estimate(one, outcome, n)
        adjusted = self._p(found, n) if alone else self._holm(i, self._p(found, n), n)
        key = (*one.signature, one.hypothesis.metric, outcome, n, adjusted, alone)
        if key not in self._judged:
            scores = Imagined(one.cells, one.outcomes[outcome], n)
            family, terms = 1 if alone else len(self._asked), self._of(n)
            record = record_of(scores, one.hypothesis, one.metric, found, adjusted, family, terms)
            self._judged[key] = record["verdict"], record["reason"]
        return self._judged[key]

    def smallest(self, i: int, n: int) -> tuple[float, float]:
        """The smallest p of hypothesis `i` with `n` seeds, and as adjusted where all the others are as small."""
        if n not in self._smallest:
            self._smallest[n] = [
                min(self._p(self._estimate(one, outcome, n), n) for outcome in range(len(one.outcomes)))
                for one in self._asked
            ]
            self._adjusted[n] = stats.holm(self._smallest[n])
        return self._smallest[n][i], self._adjusted[n][i]

    def _holm(self, i: int, p: float, n: int) -> float:
        """`p` of hypothesis `i`, adjusted, where the others are as clear as they can be."""
        smallest, adjusted = self.smallest(i, n)
        if p == smallest:
            return adjusted
        others = self._smallest[n]
        return stats.holm([*others[:i], p, *others[i + 1 :]])[i]

    def _estimate(self, one: _Asked, outcome: int, n: int) -> Estimated:
        """Of hypotheses that differ in nothing that tells, one is estimated."""
        key = (*one.signature, outcome, n)
        if key not in self._estimated:
            scores = Imagined(one.cells, one.outcomes[outcome], n)
            self._estimated[key] = one.kind.estimate(one.hypothesis, scores, self._axes, self._of(n))
        return self._estimated[key]

    def _of(self, n: int) -> stats.Terms:
        """On what terms `n` seeds are judged: those of their look, where there are looks."""
        return self._terms.get(n, stats.FIXED)

    def _p(self, found: Estimated, n: int) -> float:
        return at_once(found.test.p, self._of(n).share) if found.test else 1.0


class _Asked:
    """A hypothesis, the cells that it is about, and the clearest outcomes: a value for each cell, what it states first.

    Attributes:
        metric: that which it is about.
        signature: what an estimate depends on, besides the number of seeds.
    """

    def __init__(self, hypothesis: Hypothesis, plan: Plan) -> None:
        self.hypothesis, self.kind = hypothesis, KINDS[hypothesis.kind]
        self.cells = tuple(cell for cell in plan.cells if any(map(cell.matches, hypothesis.sides.values())))
        sides = {side: np.array([cell.matches(rule) for cell in self.cells]) for side, rule in hypothesis.sides.items()}
        self.metric = metric = plan.study.quantity(hypothesis.metric)
        paired = bool(metric.paired)
        others = {tuple(cell.levels.items()) for cell in plan.cells} if paired else set()
        lacking = np.array([_lacks(metric, cell, others) for cell in self.cells])
        itself = np.array([paired and cell.levels.get("dropout_rate") == 0 for cell in self.cells])
        self.outcomes = [
            np.where(lacking, np.nan, np.where(itself, 0.0, values))
            for values in self.kind.clearest(hypothesis, Imagining(self.cells, sides, plan.study.axes, metric))
        ]
        axis = hypothesis.along
        self.signature = (
            *hypothesis.model_dump(exclude=TELLS_NOTHING).items(),
            axis and tuple(cell.levels[axis] for cell in self.cells),
            tuple(there.tobytes() for there in sides.values()),
            tuple(values.tobytes() for values in self.outcomes),
            hypothesis.select and networks(hypothesis, self.cells),
        )


def _lacks(metric: Quantity, cell: Cell, others: set[tuple[Any, ...]]) -> bool:
    """Whether a lane of this cell cannot have the metric: it has no BN, one layer, or no partner at dropout 0."""
    alone = bool(metric.paired) and tuple((cell.levels | {"dropout_rate": 0.0}).items()) not in others
    return alone or not metric.possible(cell.settings)
