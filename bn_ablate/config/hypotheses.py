"""Hypotheses as a study file states them, before any result exists: what all kinds share.

`kinds` has the kinds, and `docs/statistics.md` says what each estimates and how it is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.errors import Problem
from bn_ablate.config.metrics import SelectingMetric
from bn_ablate.config.names import NAME
from bn_ablate.config.text import Text

Cells = Annotated[
    dict[str, Any],
    Field(description="axis -> a level or a list of levels; an axis left out stands for all its levels"),
]
Axes: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Axis -> its levels."""
Levels: TypeAlias = Mapping[str, Any]
"""A cell: axis -> its level."""
Alternative = Annotated[
    Literal["greater", "less", "two-sided"], Field(description="where the difference lies, if the hypothesis is right")
]
Margin = Annotated[
    float,
    Field(ge=0.0, allow_inf_nan=False, description="how far from zero, in the unit in which the metric is stored"),
]
Scale = Annotated[
    Literal["linear", "log10", "rank"],
    Field(description="the levels of the axis as numbers: themselves, log10, or 0, 1, …"),
]
Summary = Annotated[
    Literal["mean", "spread"],
    Field(description="of a side's cells, for each seed: their mean, or their standard deviation (divided by n)"),
]

SIGNS = {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}
"""Sides -> how they count in what is estimated, `(a - b) - (c - d)`."""

SIDES = tuple(SIGNS)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Select(_Frozen):
    """Every network takes the level of `axis` that is best by its `metric`, which is measured on validation data."""

    axis: str
    metric: SelectingMetric = "final_validation_loss"


class Hypothesis(_Frozen):
    """What every hypothesis says, of whatever kind; `check_*` yield what only its kind can find wrong with it."""

    id: Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
    claim: Text = ""
    primary: Annotated[bool, Field(description="the claim stands and falls with it; see docs/statistics.md")] = False
    statement: Annotated[Text, StringConstraints(min_length=1, max_length=500)]
    each: Annotated[
        tuple[str, ...], Field(description="axes: a hypothesis of its own for every combination of their levels")
    ] = ()
    select: Annotated[Select | None, Field(description="choose a level of an axis on validation data")] = None
    kind: str
    metric: str

    @property
    def where(self) -> str:
        """The key of the hypothesis in messages."""
        return f"hypotheses.{self.id}"

    @property
    def sides(self) -> dict[str, dict[str, Any]]:
        """The sets of cells that are compared, by the name of their key."""
        given = {name: getattr(self, name, None) for name in SIDES}
        return {name: rule for name, rule in given.items() if rule is not None}

    @property
    def along(self) -> str:
        """The axis that the hypothesis is about; empty where the kind has none."""
        return ""

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """Those of `sides` that are looked at level by level along the axis; none where the kind has no axis."""
        return {}

    @property
    def bound(self) -> float:
        """What the estimate is held against: the margin, if the kind has one, in the stated direction."""
        direction = {"greater": 1.0, "less": -1.0}.get(getattr(self, "alternative", ""), 0.0)
        return direction * float(getattr(self, "margin", 0.0))

    def check_keys(self) -> Iterator[Problem]:
        """A key that changes nothing is a question that is not asked."""
        margin = getattr(self, "margin", 0.0)
        if margin and getattr(self, "alternative", "") == "two-sided":
            yield Problem(
                f"{self.where}.margin",
                f"= {margin:g} has no effect where alternative is 'two-sided', which asks whether there is any "
                f'difference; set alternative = "greater" (above {margin:g}) or "less" (below {-margin:g}), or leave '
                "margin out",
            )

    def check_axes(self, axes: Axes) -> Iterator[Problem]:
        """What is wrong with the sides along the axis that the hypothesis is about, one of `axes`."""
        yield from ()

    def check_cells(self, sides: Mapping[str, Sequence[Levels]]) -> Iterator[Problem]:
        """What is wrong with the cells of each side, as the exclusions leave them; none of `sides` is empty."""
        yield from ()


class AlongAxis(Hypothesis):
    """A hypothesis about the levels of an axis of numbers, several of them on each side of `spanning`."""

    axis: str
    scale: Scale = "linear"

    @property
    def along(self) -> str:
        """The axis."""
        return self.axis

    @property
    def spanning(self) -> dict[str, dict[str, Any]]:
        """All sides."""
        return self.sides

    def levels_of(self, side: str, axes: Axes) -> tuple[Any, ...]:
        """The levels of the axis that a side spans."""
        return levels_in(self.sides[side], self.axis, axes[self.axis])

    def check_axes(self, axes: Axes) -> Iterator[Problem]:
        """An axis needs numbers, and several levels on the sides that are looked at along it."""
        for side in self.spanning:
            levels = self.levels_of(side, axes)
            if bad := [level for level in levels if not _number(level)]:
                numeric = ", ".join(axis for axis, known in axes.items() if all(map(_number, known)))
                named = f" ({numeric})" if numeric else ""
                yield Problem(
                    f"{self.where}.axis",
                    f"{self.axis!r} has levels that are no numbers ({', '.join(map(str, bad))}); {self.kind} needs an "
                    f"axis of numbers{named}",
                )
                return
            if len(levels) < 2:
                yield Problem(
                    f"{self.where}.{side}",
                    f"has {len(levels)} level of {self.axis!r}, and {self.kind} needs two or more",
                )
            if self.scale == "log10" and any(level <= 0 for level in levels):
                yield Problem(
                    f"{self.where}.scale",
                    f"is 'log10', but {self.axis!r} has levels that have no logarithm: {listed(levels)}",
                )


def same_level(given: Any, level: Any) -> bool:
    """Whether a level named in a rule is that level: equal, and not a bool in place of a number."""
    return given == level and isinstance(given, bool) == isinstance(level, bool)


def levels_in(rule: dict[str, Any], axis: str, known: tuple[Any, ...]) -> tuple[Any, ...]:
    """The levels of `axis`, of those `known`, that `rule` allows, in the study's order."""
    if axis not in rule:
        return known
    given = rule[axis] if isinstance(rule[axis], list | tuple) else [rule[axis]]
    return tuple(level for level in known if any(same_level(g, level) for g in given))


def networks_in(cells: Sequence[Levels], chosen: str) -> set[tuple[Any, ...]]:
    """The cells, those that differ on the axis `chosen` alone counted as one."""
    return {tuple(level for axis, level in cell.items() if axis != chosen) for cell in cells}


def listed(levels: Sequence[float]) -> str:
    """Numbers as a message lists them."""
    return ", ".join(f"{level:g}" for level in levels)


def _number(level: Any) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)
