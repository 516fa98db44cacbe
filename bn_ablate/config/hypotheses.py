"""Hypotheses as a study file states them, before any result exists.

`docs/statistics.md` says what each kind estimates and how it is judged.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.errors import one_of
from bn_ablate.config.names import METRICS, NAME, Metric
from bn_ablate.config.text import Text

Cells = Annotated[
    dict[str, Any],
    Field(description="axis -> a level or a list of levels; an axis left out stands for all its levels"),
]
Alternative = Literal["greater", "less", "two-sided"]
Margin = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Scale = Literal["linear", "log10", "rank"]
Summary = Annotated[
    Literal["mean", "spread"],
    Field(description="of a side's cells, for each seed: their mean, or their standard deviation (divided by n)"),
]

SELECTING: tuple[str, ...] = tuple(name for name in METRICS if "_validation_" in name)
"""Metrics that may choose a level: those of validation data."""


def higher_is_better(metric: str) -> bool:
    """Whether the best level of an axis is where `metric`, one of `SELECTING`, is highest: accuracies, not losses."""
    return metric.endswith("accuracy")


def _selecting(metric: str) -> str:
    if metric in METRICS and metric not in SELECTING:
        raise ValueError(f"{metric!r} cannot choose a level: only validation data may ({', '.join(SELECTING)})")
    if metric not in SELECTING:
        raise ValueError(one_of(metric, SELECTING))
    return metric


SelectingMetric = Annotated[str, AfterValidator(_selecting)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Select(_Frozen):
    """Every network takes the level of `axis` that is best by its `metric`, which is measured on validation data."""

    axis: str
    metric: SelectingMetric = "final_validation_loss"


class _Hypothesis(_Frozen):
    id: Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
    claim: Literal["", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"] = ""
    primary: Annotated[bool, Field(description="the claim stands and falls with it; see docs/statistics.md")] = False
    statement: Annotated[Text, StringConstraints(min_length=1, max_length=500)]
    each: Annotated[
        tuple[str, ...], Field(description="axes: a hypothesis of its own for every combination of their levels")
    ] = ()
    select: Annotated[Select | None, Field(description="choose a level of an axis on validation data")] = None

    @property
    def sides(self) -> dict[str, dict[str, Any]]:
        """The sets of cells that are compared, by the name of their key."""
        given = {name: getattr(self, name, None) for name in SIDES}
        return {name: rule for name, rule in given.items() if rule is not None}

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """Those of `sides` that are looked at level by level along `axis`; none where the kind has no axis."""
        return {}


SIGNS = {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}
"""Sides -> how they count in what is estimated, `(a - b) - (c - d)`."""

SIDES = tuple(SIGNS)


class Contrast(_Hypothesis):
    """Mean (or `spread`) of `metric` over the cells of `a` minus that over the cells of `b`, paired by seed.

    `greater`: the difference lies above `margin`; `less`: it lies below `-margin`; `two-sided`: it is
    not zero, and takes no margin.
    """

    kind: Literal["contrast"]
    metric: Metric
    a: Cells
    b: Cells
    summary: Summary = "mean"
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0


class Equivalence(_Hypothesis):
    """The paired difference of `a` and `b` lies within `±margin` (two one-sided tests)."""

    kind: Literal["equivalence"]
    metric: Metric
    a: Cells
    b: Cells
    margin: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Interaction(_Hypothesis):
    """The difference of two differences, `(a - b) - (c - d)`, paired by seed; `alternative` as in a contrast."""

    kind: Literal["interaction"]
    metric: Metric
    a: Cells
    b: Cells
    c: Cells
    d: Cells
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0


class OptimumShift(_Hypothesis):
    """The level of `axis` that is best by `metric` for `a`, minus that for `b`, which have the same levels of it.

    `greater`: it lies above zero; `less`: below; `two-sided`: it is not zero. Levels are compared as they are, by their
    logarithm, or by their rank (`scale`).
    """

    kind: Literal["optimum_shift"]
    metric: SelectingMetric
    axis: str
    scale: Scale = "linear"
    a: Cells
    b: Cells
    alternative: Alternative = "two-sided"

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """Both sides."""
        return self.sides


class Slope(_Hypothesis):
    """The slope of `metric` over `axis` in the cells of `a`, minus that in the cells of `b` where given."""

    kind: Literal["slope"]
    metric: Metric
    axis: str
    scale: Scale = "linear"
    a: Cells
    b: Cells | None = None
    alternative: Alternative = "two-sided"
    margin: Margin = 0.0

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """All sides."""
        return self.sides


class EquivalentLevel(_Hypothesis):
    """The level of `axis` at which `metric` of the cells of `b`, which span it, equals that of `a`.

    `greater`: it lies above `level`; `less`: below it; `two-sided`: it is another one.
    """

    kind: Literal["equivalent_level"]
    metric: Metric
    axis: str
    scale: Literal["linear", "log10"] = "linear"
    a: Cells
    b: Cells
    level: Annotated[float, Field(allow_inf_nan=False)]
    alternative: Alternative = "two-sided"

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """The side `b`."""
        return {"b": self.b}


KINDS: dict[Any, type[_Hypothesis]] = {
    "contrast": Contrast,
    "equivalence": Equivalence,
    "interaction": Interaction,
    "optimum_shift": OptimumShift,
    "slope": Slope,
    "equivalent_level": EquivalentLevel,
}
Hypothesis = Annotated[
    Contrast | Equivalence | Interaction | OptimumShift | Slope | EquivalentLevel, Field(discriminator="kind")
]
