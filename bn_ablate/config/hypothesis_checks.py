"""Whether hypotheses speak of axes and levels that are there, and their expansion by `each`."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bn_ablate.config.errors import Problem, one_of
from bn_ablate.config.hints import axis_hint
from bn_ablate.config.hypotheses import Hypothesis, levels_in, same_level
from bn_ablate.config.lane import base_settings
from bn_ablate.config.measures import MEASURES, VALIDATED
from bn_ablate.config.own_measures import tables_of
from bn_ablate.config.schema import Study


def check_rule(study: Study, where: str, rule: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a choice of cells: axes that are not there, levels that are not there."""
    for axis, levels in rule.items():
        if axis not in study.axes:
            yield _no_axis(study, f"{where}.{axis}", "")
            continue
        if levels == []:
            yield Problem(f"{where}.{axis}", "names no level")
        given = levels if isinstance(levels, list | tuple) else [levels]
        known = study.axes[axis]
        for level in given:
            if not any(same_level(level, k) for k in known):
                yield Problem(f"{where}.{axis}", one_of(level, [str(k) for k in known]))


def expand_hypotheses(study: Study) -> tuple[Study, list[Problem]]:
    """Check every hypothesis; return the study with those that have `each` in place of their rows.

    A row is a hypothesis of its own. Its id and statement end in its levels. A side that names one level of such an
    axis keeps it; one that leaves the axis out, or lists levels, takes the row's.
    """
    problems: list[Problem] = []
    rows: list[Hypothesis] = []
    for hypothesis in study.hypotheses:
        found = list(_check(study, hypothesis))
        problems += found
        expanded = hypothesis.each and not found
        rows += [row for _, row in rows_of(study, hypothesis, hypothesis.each)] if expanded else [hypothesis]
    for row in rows:
        if len(row.id) > 64:
            problems.append(Problem(f"hypotheses.{row.id}", "has an id of more than 64 characters, with its levels"))
        if len(row.statement) > 500:
            problems.append(Problem(f"hypotheses.{row.id}.statement", "has more than 500 characters, with its levels"))
    twice = sorted(name for name, times in Counter(row.id for row in rows).items() if times > 1)
    problems += [Problem("hypotheses", f"{name!r} is the id of two of them") for name in twice]
    return study.model_copy(update={"hypotheses": tuple(rows)}), problems


def _check(study: Study, hypothesis: Hypothesis) -> Iterator[Problem]:
    where, axis = hypothesis.where, hypothesis.along
    yield from _check_metric(study, hypothesis, f"{where}.metric")
    yield from hypothesis.check_keys()
    if hypothesis.primary and not hypothesis.claim:
        yield Problem(
            f"{where}.primary", 'is true, but there is no claim to stand or fall with it; add one, as claim = "C4"'
        )
    wrong = [p for side, rule in hypothesis.sides.items() for p in check_rule(study, f"{where}.{side}", rule)]
    yield from wrong
    if wrong:
        return
    if axis and axis not in study.axes:
        yield _no_axis(study, f"{where}.axis", axis)
    else:
        yield from hypothesis.check_axes(study.axes)
    yield from _check_each(study, hypothesis, where)
    yield from _check_select(study, hypothesis, where)


def _check_metric(study: Study, hypothesis: Hypothesis, key: str) -> Iterator[Problem]:
    """The lanes must have what the hypothesis is about."""
    settings = base_settings(study)
    measures = {name: MEASURES[name].declared for name in MEASURES if MEASURES.origin(name)}
    measures |= {name: of for extension in study.extensions for name, of in extension.measures.items()}
    metric = tables_of(measures)["lanes"].get(hypothesis.metric)
    for need in metric.needs if metric else ():
        if need.problem and not need.holds(settings):
            yield Problem(key, f"{hypothesis.metric!r} {need.problem}")


def _check_each(study: Study, hypothesis: Hypothesis, where: str) -> Iterator[Problem]:
    for axis in hypothesis.each:
        if axis not in study.axes:
            yield _no_axis(study, f"{where}.each", axis)
        elif axis == hypothesis.along:
            yield Problem(f"{where}.each", f"names {axis!r}, which is the axis that the hypothesis is about")
        elif not _varying(hypothesis, axis):
            yield Problem(f"{where}.each", f"names {axis!r}, but every side names one level of it")
        elif not _common_levels(study, hypothesis, axis):
            yield Problem(f"{where}.each", f"names {axis!r}, but the sides have no level of it in common")
    if len(set(hypothesis.each)) != len(hypothesis.each):
        yield Problem(f"{where}.each", "names an axis more than once")


def _check_select(study: Study, hypothesis: Hypothesis, where: str) -> Iterator[Problem]:
    if hypothesis.select is None:
        return
    axis, key = hypothesis.select.axis, f"{where}.select.axis"
    if not VALIDATED.holds(base_settings(study)):
        yield Problem(f"{where}.select", f"{hypothesis.select.metric!r} {VALIDATED.problem}")
    if axis not in study.axes:
        yield _no_axis(study, key, axis)
    elif axis == hypothesis.along:
        yield Problem(key, f"is {axis!r}, which is the axis that the hypothesis is about")
    elif axis in hypothesis.each:
        yield Problem(key, f"is {axis!r}, which each row of the hypothesis has one level of")
    elif all(len(levels_in(rule, axis, study.axes[axis])) < 2 for rule in hypothesis.sides.values()):
        yield Problem(key, f"is {axis!r}, but every side has one level of it: there is nothing to choose")


def pooled_axes(study: Study, hypothesis: Hypothesis) -> list[str]:
    """The axes over which every side is averaged: no side names one level, and all have several in common."""
    about = {hypothesis.along, hypothesis.select.axis if hypothesis.select else ""}
    return [
        axis
        for axis in study.axes
        if axis not in about
        and len(_varying(hypothesis, axis)) == len(hypothesis.sides)
        and len(_common_levels(study, hypothesis, axis)) > 1
    ]


def rows_of(study: Study, hypothesis: Hypothesis, each: tuple[str, ...]) -> list[tuple[dict[str, Any], Hypothesis]]:
    """The hypothesis at every combination of the levels of the axes `each`, which its sides have in common."""
    rows = []
    for levels in itertools.product(*(_common_levels(study, hypothesis, axis) for axis in each)):
        at = dict(zip(each, levels, strict=True))
        names = ["all" if level is None else str(level) for level in levels]
        said = ", ".join(f"{axis.replace('_', ' ')} {name}" for axis, name in zip(at, names, strict=True))
        sides = {
            side: rule | {axis: level for axis, level in at.items() if side in _varying(hypothesis, axis)}
            for side, rule in hypothesis.sides.items()
        }
        named = {
            "id": ".".join([hypothesis.id, *(re.sub(r"[^A-Za-z0-9._-]", "-", name) for name in names)]),
            "statement": f"{hypothesis.statement.rstrip('.')} ({said})",
            "each": (),
        }
        rows.append((at, hypothesis.model_copy(update=named | sides)))
    return rows


def _varying(hypothesis: Hypothesis, axis: str) -> list[str]:
    """The sides that do not name one level of `axis`."""
    return [side for side, rule in hypothesis.sides.items() if isinstance(rule.get(axis, []), list | tuple)]


def _common_levels(study: Study, hypothesis: Hypothesis, axis: str) -> list[Any]:
    sides = [levels_in(hypothesis.sides[side], axis, study.axes[axis]) for side in _varying(hypothesis, axis)]
    return [level for level in study.axes[axis] if all(any(same_level(level, k) for k in side) for side in sides)]


def _no_axis(study: Study, key: str, axis: str) -> Problem:
    name = axis or key.rpartition(".")[2]
    said = f"{axis!r} is" if axis else "is"
    return Problem(key, f"{said} not an axis of this study{axis_hint(name, study.axes)}")
