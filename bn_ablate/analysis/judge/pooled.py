"""What a pooled verdict is an average of: the same estimate at each level of what its sides are averaged over.

They describe, and are not judged: their intervals are adjusted for nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from bn_ablate.analysis.judge import stats
from bn_ablate.analysis.judge.hypothesis_records import record_of
from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.config.hypothesis_checks import pooled_axes, rows_of
from bn_ablate.config.schema import Study
from bn_ablate.config.sides import check_sides

MOST_LEVELS = 8
"""An axis of more levels is left out: a page would show little but them."""


class Part(NamedTuple):
    """The estimate of a hypothesis where an axis that it is averaged over has one level.

    Attributes:
        level: that level.
        record: as `claims.json` has of hypotheses, without a verdict.
        opposite: whether the estimate lies on the other side of zero than that of the whole.
    """

    level: Any
    record: dict[str, Any]
    opposite: bool


def parts(study: Study, lanes: pl.DataFrame, records: list[dict[str, Any]]) -> dict[str, dict[str, list[Part]]]:
    """Id of a hypothesis -> axis that its sides are averaged over -> its levels; of those `records` are of."""
    scores, terms = Scores(study, lanes), stats.Terms()
    whole = {record["id"]: record["estimate"] for record in records}
    found: dict[str, dict[str, list[Part]]] = {}
    for hypothesis in study.hypotheses:
        if whole.get(hypothesis.id) is None:
            continue
        kind, metric = KINDS[hypothesis.kind], study.quantity(hypothesis.metric)
        for axis in pooled_axes(study, hypothesis):
            rows = rows_of(study, hypothesis, (axis,))
            if len(rows) > MOST_LEVELS:
                continue
            of_axis = []
            for at, row in rows:
                cells = {
                    side: [scores.cells[i].levels for i in scores.places(rule)] for side, rule in row.sides.items()
                }
                if not all(cells.values()) or any(check_sides(row, cells)):
                    continue
                estimated = kind.estimate(row, scores, study.axes, terms)
                record = record_of(scores, row, metric, estimated, 1.0, 1, terms)
                said = {key: value for key, value in record.items() if key not in ("verdict", "reason", "seeds_needed")}
                opposite = kind.signed and (said["estimate"] or 0.0) * whole[hypothesis.id] < 0
                of_axis.append(Part(at[axis], said, opposite))
            if len(of_axis) > 1:
                found.setdefault(hypothesis.id, {})[axis] = of_axis
    return found
