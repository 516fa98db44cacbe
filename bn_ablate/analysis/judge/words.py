"""What a hypothesis estimates, and what becomes of diverged lanes, as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bn_ablate.analysis.judge.kinds import KINDS
from bn_ablate.analysis.judge.stats import FEWEST_SEEDS
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
    rows = [(name, len(list(ids))) for name, ids in groupby(one.id.split(".")[0] for one in alike)]
    names = [f"{name} ({n} rows)" if n > 1 else name for name, n in rows]
    return ", ".join(names[:MOST_NAMED]) + f" and {len(names) - MOST_NAMED} more" * (len(names) > MOST_NAMED)
