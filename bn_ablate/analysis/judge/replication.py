"""Results held against what was published: deviation in SD from run to run, and a verdict by a rule that stands before.

Let x be the mean of a metric over our n seeds, h half of its 95% interval (Student's t), y the mean of k published
runs, u the unit of their last digit, and s the SD from run to run: as published; else of the published runs, if there
are `FEWEST_RUNS` or more; else of our seeds. With w = 2 s + u / 2 a row is

- not comparable: its table says so, or its protocol is not that of the study;
- undecided: h > w, or there is no h: our own mean is known less well than that;
- replicated: |x − y| ≤ w;
- not replicated: |x − y| > w.

A direction is replicated where the interval of cell − minus, paired by seed, lies wholly on its side of zero, not
replicated where it lies wholly on the other, and undecided else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bn_ablate.analysis.judge.scores import Scores
from bn_ablate.analysis.judge.selection import base_level
from bn_ablate.analysis.judge.stats import t_quantile
from bn_ablate.config.errors import ConfigError, Problem, one_of, show
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.hints import factor_hint
from bn_ablate.config.hypotheses import same_level
from bn_ablate.config.published import Published, Row, load_published, published_for
from bn_ablate.config.quantity import Quantity
from bn_ablate.config.schema import Study
from bn_ablate.plan import Cell
from bn_ablate.results import Results, ResultsError

MOST_SDS = 2.0
FEWEST_RUNS = 3
"""So many published runs give an SD of their own."""
_NOTHING = object()
VERDICTS = ("replicated", "not replicated", "undecided", "not comparable")


def replicate(results: Results, published: str | Path | None = None) -> dict[str, Any]:
    """Hold `results` against the table in the TOML file `published`, or that which comes with the study.

    Returns `study`, `published` (the file), `source`, `differences` that all rows have, and `rows`, a record each:
    what the row says, `estimate` x, `interval`, `n_seeds`, `sd_of_seeds`, `published_mean` y, `sd` s and `sd_of`
    (what it is the SD of), `deviation` (x − y) / s, `within` w, `verdict` and `reason`.

    Raises:
        ConfigError: the table cannot be used, or a row speaks of what the study has not; every problem is named.
        ResultsError: the results are not those of a whole study.
    """
    if wrong := [*results.incomplete]:
        raise ResultsError(f"{results.path}: {'; '.join(wrong)}")
    file = Path(published) if published is not None else published_for(results.name)
    table = load_published(file)
    scores = Scores(results.study, results.lanes)
    if problems := misfits(table, results.study, scores.cells):
        raise ConfigError(str(file), problems)
    return {
        "study": results.name,
        "published": str(file),
        "source": table.source,
        "differences": list(table.differences),
        "rows": [_record(row, results, scores, table.protocol) for row in table.rows],
    }


def counts(said: dict[str, Any]) -> dict[str, int]:
    """Verdict -> how many rows have it, of those that some row has."""
    verdicts = [row["verdict"] for row in said["rows"]]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}


def misfits(table: Published, study: Study, cells: Sequence[Cell]) -> list[Problem]:
    """What rows of the table speak of and the study, which has these cells, has not."""
    strange = [
        Problem(f"protocol.{name}", f"there is neither such a factor nor such a key{factor_hint(name)}")
        for name in table.protocol
        if name not in FACTORS and _key_of(name, cells[0]) is _NOTHING
    ]
    return [*strange, *(problem for row in table.rows for problem in _misfits(row, study, cells))]


def _misfits(row: Row, study: Study, cells: Sequence[Cell]) -> Iterator[Problem]:
    where = f"rows.{row.id}"
    known = {name: of for name, of in study.tables["lanes"].items() if of.kind == "number"}
    if row.metric not in known:
        yield Problem(f"{where}.metric", one_of(row.metric, known, " metrics that docs/measurements.md defines"))
    for side, rule in _sides(row).items():
        problems = [problem for axis in rule for problem in _no_level(study, f"{where}.{side}.{axis}", axis, rule)]
        yield from problems
        if problems:
            continue
        found = [cells[place] for place in _places(cells, rule)]
        several = [axis for axis in study.axes if len({str(cell.levels[axis]) for cell in found}) > 1]
        if not found:
            yield Problem(f"{where}.{side}", "is not in the study: the exclusions leave no such cell")
        elif several:
            said = "; ".join(f"{axis}: {', '.join(_levels(found, axis))}" for axis in several)
            yield Problem(f"{where}.{side}", f"stands for {len(found)} cells of the study, and must name one ({said})")
        elif row.metric in known:
            for need in known[row.metric].needs:
                if not need.holds(found[0].settings):
                    yield Problem(f"{where}.metric", f"{row.metric!r} is not there {need.null}, as in {side}")


def _no_level(study: Study, key: str, axis: str, rule: dict[str, Any]) -> Iterator[Problem]:
    level = rule[axis]
    if axis not in FACTORS:
        yield Problem(key, f"there is no such factor (known: {', '.join(FACTORS)}){factor_hint(axis)}")
    elif axis in study.axes:
        known = study.axes[axis]
        if not any(same_level(level, there) for there in known):
            yield Problem(key, f"the cell is not in the study: {one_of(level, map(str, known))}")
    elif not same_level(level, base := base_level(study, axis)):
        yield Problem(key, f"is {show(level)}, and the study has {show(base)} throughout: the cell is not in it")


def _sides(row: Row) -> dict[str, dict[str, Any]]:
    return {"cell": row.cell} | ({"minus": row.minus} if row.minus is not None else {})


def _places(cells: Sequence[Cell], rule: dict[str, Any]) -> list[int]:
    """Which of the cells stand at the levels of `rule`, of axes or of what the study has throughout."""
    return [i for i, cell in enumerate(cells) if all(_at(cell, axis, level) for axis, level in rule.items())]


def _at(cell: Cell, axis: str, level: Any) -> bool:
    return same_level(level, cell.levels.get(axis, FACTORS[axis].level(cell.stated)))


def _levels(cells: list[Cell], axis: str) -> list[str]:
    return list(dict.fromkeys(str(cell.levels[axis]) for cell in cells))


def _key_of(name: str, cell: Cell) -> Any:
    """What stands at `section.key` in the settings of a cell."""
    section, _, key = name.partition(".")
    return getattr(getattr(cell.stated, section, _NOTHING), key, _NOTHING)


def _apart(protocol: dict[str, Any], cell: Cell) -> str:
    """Where a cell is not of the protocol, in words."""
    here = {name: FACTORS[name].level(cell.stated) if name in FACTORS else _key_of(name, cell) for name in protocol}
    said = [f"{name} is {show(here[name])} here, and {show(level)} there" for name, level in protocol.items()
            if not same_level(level, here[name])]  # fmt: skip
    return "; ".join(said)


def _record(row: Row, results: Results, scores: Scores, protocol: dict[str, Any]) -> dict[str, Any]:
    metric = results.study.quantity(row.metric)
    values = scores.of(row.metric)
    x = values[:, _places(scores.cells, row.cell)[0]]
    if row.minus is not None:
        x = x - values[:, _places(scores.cells, row.minus)[0]]
    there = x[np.isfinite(x)]
    n, mean = len(there), float(there.mean()) if len(there) else None
    spread = float(there.std(ddof=1)) if n > 1 else None
    half = float(t_quantile(n)) * spread / math.sqrt(n) if spread is not None else None
    record = row.model_dump(mode="json", exclude={"sd"}) | {
        "estimate": mean,
        "interval": [mean - half, mean + half] if mean is not None and half is not None else None,
        "n_seeds": n,
        "n_excluded": len(x) - n,
        "sd_of_seeds": spread,
        **_against(row, mean, spread),
    }
    why = row.not_comparable or _apart(protocol, scores.cells[_places(scores.cells, row.cell)[0]])
    verdict, reason = ("not comparable", why) if why else _verdict(row, record, half, metric)
    return record | {"verdict": verdict, "reason": reason}


def _against(row: Row, mean: float | None, spread: float | None) -> dict[str, Any]:
    """What was published as a number, and how far from it we are; nothing of that where it is a direction."""
    if not row.values:
        return dict.fromkeys(("published_mean", "sd", "sd_of", "within", "deviation"))
    y = float(np.mean(row.values))
    if row.sd is not None:
        sd, of = row.sd, "published"
    elif len(row.values) >= FEWEST_RUNS:
        sd, of = float(np.std(row.values, ddof=1)), "published runs"
    else:
        sd, of = spread or 0.0, "our seeds"
    deviation = (mean - y) / sd if mean is not None and sd > 0 else None
    return {"published_mean": y, "sd": sd, "sd_of": of, "within": MOST_SDS * sd + row.unit / 2, "deviation": deviation}


def _verdict(row: Row, record: dict[str, Any], half: float | None, metric: Quantity) -> tuple[str, str]:
    mean, seeds = record["estimate"], f"{record['n_seeds']} seed{'s' * (record['n_seeds'] != 1)}"
    if mean is None or half is None:
        return "undecided", f"{seeds} with a finite value give no interval"
    if row.direction:
        wanted = 1.0 if row.direction == "greater" else -1.0
        ends = sorted((wanted * (mean - half), wanted * (mean + half)))
        if ends[0] > 0:
            return "replicated", f"the interval lies wholly on the stated side of zero ({row.direction})"
        if ends[1] < 0:
            return "not replicated", f"the interval lies wholly on the other side of zero than stated ({row.direction})"
        return "undecided", "the interval has zero in it"
    within = record["within"]
    shown = [metric.unit.difference(value) for value in (half, within, abs(mean - record["published_mean"]))]
    reach, allowed, apart = (text.removeprefix("+") for text in shown)
    if half > within:
        return "undecided", f"with {seeds} our mean is known to ± {reach}, and the rule asks for {allowed}"
    verdict = "replicated" if abs(mean - record["published_mean"]) <= within else "not replicated"
    return verdict, f"the means lie {apart} apart, where {allowed} may be"
