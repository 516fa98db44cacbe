"""Picking some of a study's lanes: `placement=pre,activation=sigmoid,seed=3`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bn_ablate.config.errors import ConfigError, Problem, one_of, show
from bn_ablate.config.given import plain
from bn_ablate.config.hints import axis_hint
from bn_ablate.config.hypotheses import same_level
from bn_ablate.config.schema import Study

SEED = "seed"
Only = dict[str, tuple[Any, ...]]
"""Axis, or `seed`, -> the levels chosen."""


def parse_only(words: Iterable[str]) -> dict[str, list[str]]:
    """Read `axis=level` pairs, separated by commas; an axis that comes again adds a level.

    Raises:
        ConfigError: a word is not of that form.
    """
    chosen: dict[str, list[str]] = {}
    problems = []
    for pair in (pair for word in words for pair in word.split(",")):
        axis, sign, level = (part.strip() for part in pair.partition("="))
        if not (axis and sign and level):
            problems.append(Problem(pair, "is not of the form axis=level, as in placement=pre or seed=3"))
        chosen.setdefault(axis, []).append(level)
    if problems:
        raise ConfigError("--only", problems)
    return chosen


def check_only(study: Study, only: Mapping[str, Any]) -> Only:
    """`only` with its levels as the study has them; it maps an axis or `seed` to a level or several, maybe as text.

    Raises:
        ConfigError: an axis or a level is none of the study's; every problem is named.
    """
    known: dict[str, tuple[Any, ...]] = {**study.axes, SEED: study.seed_list}
    chosen: Only = {}
    problems = []
    if not isinstance(only, Mapping):
        raise ConfigError("only", [Problem("", f"is {show(only)}: it must map axes to levels, as {{'seed': 3}}")])
    for axis, given in only.items():
        some = plain(list(given) if isinstance(given, set | frozenset) else given)
        levels = some if isinstance(some, list) else [some]
        if axis not in known:
            problems.append(
                Problem(axis, f"is no axis of this study (it has {', '.join(known)}){axis_hint(axis, known)}")
            )
            continue
        unknown = [level for level in levels if not any(_is(level, k) for k in known[axis])]
        problems += [Problem(axis, one_of(level, map(str, known[axis]))) for level in unknown]
        if not levels:
            problems.append(Problem(axis, "names no level"))
        chosen[axis] = tuple(k for k in known[axis] if any(_is(level, k) for level in levels))
    if problems:
        raise ConfigError("only", problems)
    return chosen


def _is(given: Any, level: Any) -> bool:
    """Whether `given` is `level`, or text for it."""
    if same_level(given, level):
        return True
    if not isinstance(given, str) or isinstance(level, str):
        return False
    if isinstance(level, bool) or level is None:
        return given.lower() == str(level).lower()
    try:
        return bool(float(given) == level)
    except ValueError:
        return False
