"""Hypotheses as a study file states them, before any result exists."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.names import Metric

Cells = Annotated[
    dict[str, Any],
    Field(description="axis -> a level or a list of levels; an axis left out stands for all its levels"),
]


class _Hypothesis(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    claim: Literal["", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8"] = ""
    statement: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    metric: Metric
    a: Cells
    b: Cells


class Contrast(_Hypothesis):
    """Mean of `metric` over the cells of `a` minus that over the cells of `b`, paired by seed.

    `greater`: the difference lies above `margin`; `less`: it lies below `-margin`; `two-sided`: it is not zero.
    """

    kind: Literal["contrast"]
    alternative: Literal["greater", "less", "two-sided"] = "two-sided"
    margin: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0


class Equivalence(_Hypothesis):
    """The paired difference of `a` and `b` lies within `±margin` (two one-sided tests)."""

    kind: Literal["equivalence"]
    margin: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


KINDS: dict[Any, type[_Hypothesis]] = {"contrast": Contrast, "equivalence": Equivalence}
Hypothesis = Annotated[Contrast | Equivalence, Field(discriminator="kind")]
