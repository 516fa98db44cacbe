"""What a hypothesis estimates, and what becomes of diverged lanes, as sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.stats import FEWEST_SEEDS, SEEDS_THAT_COVER
from bn_ablate.config.hypotheses import Hypothesis
from bn_ablate.config.quantity import Quantity, quantity
from bn_ablate.plan import Cell

if TYPE_CHECKING:
    from bn_ablate.analysis.judge.outlook import Outlook

MOST_NAMED = 8
"""A sentence names no more hypotheses than that."""


def estimand(hypothesis: Hypothesis, metric: Quantity, cells: tuple[Cell, ...]) -> str:
    """What is estimated, of `metric`, that which the hypothesis is about."""
    sides = [_cells(rule, cells) for rule in hypothesis.sides.values()]
    text = KINDS[hypothesis.kind].estimand(hypothesis, metric.label, sides)
    if hypothesis.select is not None:
        axis, by = hypothesis.select.axis.replace("_", " "), quantity(hypothesis.select.metric).label
        text += f"; every network at the {axis} that is best by its {by}"
    return f"{text}."


def divergence_rule(hypothesis: Hypothesis) -> str:
    """What becomes of diverged lanes in this hypothesis."""
    if hypothesis.metric.endswith("accuracy"):
        return "A diverged lane counts with the accuracy that it was measured at."
    return KINDS[hypothesis.kind].where_diverged


def _cells(rule: dict[str, Any], cells: tuple[Cell, ...]) -> str:
    n = sum(cell.matches(rule) for cell in cells)
    levels = [
        f"{axis} {', '.join(map(str, level if isinstance(level, list | tuple) else [level]))}"
        for axis, level in rule.items()
    ]
    return f"{' and '.join(levels) or 'all levels'} ({n} {'cell' if n == 1 else 'cells'})"


def outlook_lines(found: Sequence[Outlook], seeds: int) -> tuple[list[str], list[str]]:
    """What can become of hypotheses with so many seeds: sentences on those that can be decided, and warnings."""
    kinds: dict[tuple[Any, ...], list[Outlook]] = {}
    for one in found:
        kinds.setdefault(_kind(one), []).append(one)
    good, warnings = [], []
    for (kind, fewest, *_), alike in kinds.items():
        every = f"{'each' if kind == 'decidable' else 'any'} of the {len(found):,} hypotheses"
        names, one = every if MOST_NAMED < len(alike) == len(found) else _names(alike), alike[0]
        match kind:
            case "decidable":
                most = max(outlook.fewest or 0 for outlook in alike)
                good.append(f"{_seeds(seeds)} can decide {names}" + f"; {most} would do" * (0 < most < seeds))
            case "certain":
                warnings.append(
                    f"{_seeds(seeds)} find {names} equivalent whatever comes out: the margin is as wide as the metric"
                )
            case "one-sided":
                warnings.append(f"{names} can be contradicted, but never supported. At the most: {one.reason}")
            case "few":
                warnings.append(
                    f"{_seeds(seeds)} cannot decide {names}, whatever comes out: {_why(one, seeds, len(found))}; "
                    f"{fewest} would do: --set seeds={fewest}"
                )
            case "family":
                warnings.append(
                    f"No number of seeds can decide {names}: {_why(one, seeds, len(found))}; state fewer, or divide "
                    "them over several studies"
                )
            case _:
                warnings.append(f"No number of seeds can decide {names}. At the most: {one.reason}")
    return good, warnings


def few_seeds_lines(seeds: int) -> list[str]:
    """A warning where intervals of so few seeds cover some differences too seldom or too often."""
    few = FEWEST_SEEDS <= seeds < SEEDS_THAT_COVER
    said = (
        f"intervals from {seeds} seeds cover strongly skewed differences in some 92%, and coarsely rounded ones in 98%"
    )
    return [f"{said}; from 10 seeds they are nearer to 95% (docs/statistics.md)"] * few


def first_look_lines(first: Mapping[str, int | None], planned: Sequence[int]) -> tuple[list[str], list[str]]:
    """Which look is the first that can decide which hypotheses: sentences, and warnings of those that none can."""
    at: dict[int | None, list[str]] = {}
    for name, number in first.items():
        at.setdefault(number, []).append(name)
    never = at.pop(None, [])
    good = [
        f"look {number} of {len(planned)}, at {_seeds(planned[number - 1])}, can decide "
        + (f"each of the {len(first):,} hypotheses" if MOST_NAMED < len(names) == len(first) else _named(names))
        for number, names in sorted((number, names) for number, names in at.items() if number)
    ]
    if min((number for number in at if number), default=1) > 1:
        good.insert(0, f"look 1, at {_seeds(planned[0])}, cannot decide any of them: a larger seeds.first would")
    return good, [f"No look can decide {_named(never)}, whatever comes out"] * bool(never)


def look_line(number: int, planned: Sequence[int], verdicts: Mapping[str, str | None], lanes: int) -> str:
    """What came of a look: how many hypotheses have stopped, which go on, and how many lanes the next look takes.

    `verdicts` has for each hypothesis why it stopped, or None; `lanes`, what is trained for the next look.
    """
    decided, futile = (sum(why == said for why in verdicts.values()) for said in ("decided", "futile"))
    left = [name for name, why in verdicts.items() if why is None]
    undecided = sum(why == "most" for why in verdicts.values())
    said = [f"{decided:,} of {len(verdicts):,} hypotheses decided"]
    said += [f"{futile:,} that more seeds would hardly decide"] * bool(futile)
    said += [f"{undecided:,} not, with all the seeds there are"] * bool(undecided)
    if left:
        said.append(f"open: {_named(left)}")
        said.append(f"{lanes:,} lanes more for look {number + 1}, at {_seeds(planned[number])}")
    return f"look {number} of {len(planned)}, at {_seeds(planned[number - 1])}: {'; '.join(said)}"


def _kind(one: Outlook) -> tuple[Any, ...]:
    """What is said of it, in one sentence with others of which the same is said."""
    if one.decidable:
        kind = "certain" if one.certain else "one-sided" if one.verdict == "contradicted" else "decidable"
        return (kind, None, one.reason if kind == "one-sided" else "")
    if one.fewest:
        return ("few", one.fewest, one.p_adjusted)
    return ("family", None, one.p_adjusted) if one.alone else ("never", None, one.reason)


def _why(one: Outlook, seeds: int, family: int) -> str:
    if seeds < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} carry no verdict"
    holm = f", of which Holm over {family} hypotheses makes {one.p_adjusted:.4g}" if family > 1 else ""
    return f"the smallest p they give is {one.p:.4g}{holm}"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n:,} seeds"


def _names(alike: Sequence[Outlook]) -> str:
    """The ids, those of rows under what they were written as."""
    return _named([one.id for one in alike])


def _named(ids: Sequence[str]) -> str:
    rows = [(name, len(list(alike))) for name, alike in groupby(one.split(".")[0] for one in ids)]
    names = [f"{name} ({n} rows)" if n > 1 else name for name, n in rows]
    return ", ".join(names[:MOST_NAMED]) + f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
