"""Looks at hypotheses whose seeds go on until they are decided: which stop, and which cells the others need.

Nothing here remembers anything: the looks are taken again, one after the other, from the lanes that there are. A
hypothesis that stops at a look is judged by the seeds of that look, whatever seeds its cells get for others later on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.estimands import Estimated
from bn_ablate.analysis.judge.hypothesis_records import Look, record_of
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.spending import at_once, shares, terms_of
from bn_ablate.config.hypotheses import Hypothesis
from bn_ablate.config.schema import Study
from bn_ablate.plan import Cell


@dataclass(frozen=True)
class Standing:
    """Where a study stands after the looks that its lanes allow.

    Attributes:
        records: one for each hypothesis, at the last look taken at it.
        look: the number of the last look taken.
        open: the hypotheses that the next look is to be taken at; none after the last one.
    """

    records: list[dict[str, Any]]
    look: int
    open: tuple[Hypothesis, ...]


@dataclass(frozen=True)
class _Seen:
    """What a look saw of a hypothesis.

    Attributes:
        number: which look it is, from 1 on.
        estimated: without its interval.
    """

    study: Study
    hypothesis: Hypothesis
    number: int
    scores: Scores
    terms: stats.Terms

    def estimate(self, terms: stats.Terms) -> Estimated:
        kind = KINDS[self.hypothesis.kind]
        return kind.estimate(self.hypothesis, self.scores, self.study.axes, terms)

    @cached_property
    def estimated(self) -> Estimated:
        return self.estimate(self.terms._replace(bare=True))

    @cached_property
    def whole(self) -> Estimated:
        """What was estimated, with its interval."""
        return self.estimate(self.terms)

    @property
    def hopeless(self) -> bool:
        """Whether the last look can hardly decide it any more."""
        planned, kind = self.study.looks, KINDS[self.hypothesis.kind]
        return kind.hopeless(self.hypothesis, self.estimated, planned[-1], shares(planned)[-1])

    def record(self, p: float, adjusted: float, stopped: str | None) -> dict[str, Any]:
        look, family = Look(self.number, self.study.looks, p, stopped), len(self.study.hypotheses)
        metric = self.study.quantity(self.hypothesis.metric)
        return record_of(self.scores, self.hypothesis, metric, self.whole, adjusted, family, self.terms, look)

    def stops(self, p: float, adjusted: float) -> str | None:
        """Why the hypothesis stops at this look, if it does."""
        if adjusted < stats.ALPHA and self.record(p, adjusted, None)["verdict"] != "inconclusive":
            return "decided"
        if self.number == len(self.study.looks):
            return "most"
        return "futile" if self.hopeless else None


def stand(study: Study, lanes: pl.DataFrame, resamples: int = stats.RESAMPLES) -> Standing:
    """Take the looks of `study` that its `lanes` allow.

    After the first, a look is taken once every lane is there that its open hypotheses need. A hypothesis stops when its
    verdict, by Holm over all hypotheses, is another than inconclusive; when the last look could hardly decide it any
    more; or at the last look. Its p value is the smallest that its looks have given, each over its share of the error:
    so what others do, and what is stopped when, makes no verdict likelier to be false.
    """
    asked, planned = study.hypotheses, study.looks
    seen: dict[int, _Seen] = {}
    stopped: dict[int, str | None] = {}
    left, p, number = [*range(len(asked))], [1.0] * len(asked), 0
    while left and number < len(planned):
        scores = Scores(study.at_look(planned[number]), lanes)
        if number and not all(scores.complete(needed(study, asked[i], scores.cells)) for i in left):
            break
        number += 1
        terms = terms_of(planned, number, resamples)
        for i in left:
            seen[i] = _Seen(study, asked[i], number, scores, terms)
            test = seen[i].estimated.test
            p[i] = min(p[i], at_once(test.p, terms.share) if test else 1.0)
        adjusted = stats.holm(p)
        stopped |= {i: seen[i].stops(p[i], adjusted[i]) for i in left}
        left = [i for i in left if stopped[i] is None]
    adjusted = stats.holm(p)
    records = [seen[i].record(p[i], adjusted[i], stopped[i]) for i in range(len(asked))]
    return Standing(records, number, tuple(asked[i] for i in left))


def needed(study: Study, hypothesis: Hypothesis, cells: Sequence[Cell]) -> list[int]:
    """Which of `cells`, by their places, have the lanes that the verdict on `hypothesis` is made of."""
    found = [any(map(cell.matches, hypothesis.sides.values())) for cell in cells]
    if study.quantity(hypothesis.metric).paired:  # with the lane of the same cell without dropout
        both = list(zip(cells, found, strict=True))
        partners = {_levels(cell.levels | {"dropout_rate": 0.0}) for cell, asked in both if asked}
        found = [asked or _levels(cell.levels) in partners for cell, asked in both]
    return [place for place, asked in enumerate(found) if asked]


def _levels(levels: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(levels.items())
