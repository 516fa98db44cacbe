"""What a hypothesis estimates, and what becomes of diverged lanes, as sentences."""

from __future__ import annotations

from typing import Any

from bn_ablate.analysis.metrics import metric as describe
from bn_ablate.config.hypotheses import EquivalentLevel, Hypothesis, Interaction, OptimumShift, Slope
from bn_ablate.plan import Cell

CLAIMS = {
    "C1": "keeps activations in their steep region",
    "C2": "has useful degrees of freedom in γ and β",
    "C3": "reduces vanishing gradients",
    "C4": "regularizes slightly",
    "C5": "switches ReLU units off",
    "C6": "calls for less dropout",
    "C7": "works after the activation too",
    "C8": "is needed in every layer",
}
"""What each claim says Batch Normalization is or does."""


def estimand(hypothesis: Hypothesis, cells: tuple[Cell, ...]) -> str:
    """What is estimated."""
    label = describe(hypothesis.metric).label
    a, *others = (_cells(rule, cells) for rule in hypothesis.sides.values())
    match hypothesis:
        case OptimumShift():
            text = (
                f"The {_axis(hypothesis)} that is best by mean {label} over {a}, minus that over {others[0]}, "
                "on curves averaged over seeds"
            )
        case EquivalentLevel():
            text = (
                f"The {_axis(hypothesis)} at which mean {label} over {others[0]} equals that over {a}, "
                "on curves averaged over seeds"
            )
        case Slope():
            minus = f", minus that over {others[0]}" if others else ""
            text = f"Slope of mean {label} on {_axis(hypothesis)} over {a}{minus}, paired by seed"
        case Interaction():
            text = (
                f"Mean {label} over {a} minus that over {others[0]}, less the same difference between {others[1]} and "
                f"{others[2]}, paired by seed"
            )
        case _:
            what = "Standard deviation of" if getattr(hypothesis, "summary", "mean") == "spread" else "Mean"
            text = f"{what} {label} over {a} minus that over {others[0]}, paired by seed"
    if hypothesis.select is not None:
        axis, by = hypothesis.select.axis.replace("_", " "), describe(hypothesis.select.metric).label
        text += f"; every network at the {axis} that is best by its {by}"
    return f"{text}."


def divergence_rule(hypothesis: Hypothesis) -> str:
    """What becomes of diverged lanes in this hypothesis."""
    if hypothesis.metric.endswith("accuracy"):
        return "A diverged lane counts with the accuracy that it was measured at."
    if isinstance(hypothesis, OptimumShift):
        return "A diverged lane is worse than any other, so a level at which one diverged is never the best."
    return "A diverged lane counts with its value where that is finite; elsewhere its seed is left out."


def _axis(hypothesis: OptimumShift | EquivalentLevel | Slope) -> str:
    axis = hypothesis.axis.replace("_", " ")
    return {"log10": f"log10 of {axis}", "rank": f"rank of {axis}"}.get(hypothesis.scale, axis)


def _cells(rule: dict[str, Any], cells: tuple[Cell, ...]) -> str:
    n = sum(cell.matches(rule) for cell in cells)
    levels = [
        f"{axis} {', '.join(map(str, level if isinstance(level, list | tuple) else [level]))}"
        for axis, level in rule.items()
    ]
    return f"{' and '.join(levels) or 'all levels'} ({n} {'cell' if n == 1 else 'cells'})"
