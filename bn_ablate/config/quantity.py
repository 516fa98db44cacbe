"""What a quantity is: a column of the stored tables. `config.measures` and `config.metrics` declare them.

`TABLES` and `REQUESTS` are what the rest of the package asks: which metrics a hypothesis may name, which columns
Parquet files have, where they are null, their units and labels. `docs/measurements.md` has its tables from here.

- `lanes.parquet` has a row per lane,
- `history.parquet` one per lane and measured step,
- `layers.parquet` one per lane, measured step and hidden layer,
- `histograms.parquet` one per lane, layer and site at the first and the last measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from bn_ablate.config.lane import LaneSettings

MINUS = "\N{MINUS SIGN}"


class Unit(NamedTuple):
    """A unit as stored, how its numbers are shown (`value * scale`, in `shown`), and the bounds of what they can be."""

    name: str
    scale: float = 1.0
    shown: str = ""
    digits: int = 3
    low: float = -math.inf
    high: float = math.inf

    def value(self, value: float | None, sign: bool = False, digits: int | None = None) -> str:
        """`value` as text without its unit; `sign` writes a plus as well; what is not there is an en dash.

        Numbers that their usual digits would hide are written with an exponent, unless `digits` after the point are
        asked for.
        """
        if value is None or math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else f"{MINUS}∞"
        scaled = value * self.scale
        odd = digits is None and scaled != 0 and not 0.5 * 10.0**-self.digits <= abs(scaled) < 1e5
        text = f"{abs(scaled):.2e}" if odd else f"{abs(scaled):.{self.digits if digits is None else digits}f}"
        if not float(text):  # rounded away, and its sign with it
            return text
        return (MINUS if scaled < 0 else "+" if sign and scaled > 0 else "") + text

    @property
    def of_differences(self) -> str:
        """The unit of a difference as shown: percentage points where the values are in percent."""
        return "pp" if self.shown == "%" else self.shown

    def difference(self, value: float | None) -> str:
        """A difference of two values, signed, with its unit."""
        return f"{self.value(value, sign=True)} {self.of_differences}".strip()


UNITLESS = Unit("")


class Need(NamedTuple):
    """What a lane must have; without it a quantity is null.

    Attributes:
        null: where it is null, in words.
        holds: whether settings have it.
        by_layer: which layers have it, where only some may.
        problem: what a study does wrong that states a hypothesis about the quantity and gives it to no lane.
        present: whether the lane must have its normalizers at the step at which the quantity is taken.
    """

    null: str
    holds: Callable[[LaneSettings], bool]
    by_layer: Callable[[LaneSettings], tuple[bool, ...]] | None = None
    problem: str = ""
    present: bool = False


@dataclass(frozen=True)
class Quantity:
    """The declaration of a column.

    Attributes:
        definition: what it is, as `docs/measurements.md` says it; formulas are in `measure/`, under the same name.
        label: its words in reports and figures.
        kind: what its column holds.
        better: which values are better, where that can be said.
        part: the part of the data that it is measured on, where it is one.
        needs: what a lane must have; without it the column is null.
        ends: whether a measure is only taken at the start and the end.
        null: where it is null besides.
        apart: the request or setting without which tables lack its column; other columns are there in any case, null.
        of, form: the measure that a metric sums up, and how.
        minus: the metrics that it is the difference of.
        paired: the metric that it is the difference of to the same lane at dropout 0.
    """

    name: str
    definition: str
    label: str = ""
    unit: Unit = UNITLESS
    _: KW_ONLY
    kind: Literal["number", "count", "text", "counts"] = "number"
    better: Literal["lower", "higher"] | None = None
    part: str = ""
    needs: tuple[Need, ...] = ()
    ends: bool = False
    null: str = ""
    apart: str = ""
    of: str = ""
    form: str = ""
    minus: tuple[str, str] | None = None
    paired: str = ""

    def possible(self, settings: LaneSettings) -> bool:
        """Whether a lane of these settings can have it."""
        taken = {"start": 0, "end": settings.train.steps, "last": settings.train.steps}.get(self.form.split("_")[-1])
        there = taken is None or settings.normalized_after(taken) or not any(need.present for need in self.needs)
        return there and all(need.holds(settings) for need in self.needs)

    @property
    def axis(self) -> str:
        """What an axis of a figure is called that shows it: its label, with the unit as shown."""
        words, shown = self.label[:1].upper() + self.label[1:], self.unit.shown
        if not shown:
            return words
        return f"{words[:-1]}, {shown})" if words.endswith(")") else f"{words} ({shown})"

    @property
    def nulls(self) -> str:
        """Where it is null, in words."""
        between = "between start and end" if self.ends else ""
        return "; ".join(filter(None, [*(need.null for need in self.needs), between, self.null])) or "never"


@dataclass(frozen=True)
class Form:
    """How a lane sums up a measure: the form, the names and labels of the metrics that come of it, their definition."""

    form: str
    name: str
    label: str
    definition: str

    def __call__(self, measure: Quantity) -> Quantity:
        """The metric that this is of `measure`, which needs what `measure` does."""
        return Quantity(
            self.name.format(measure.name),
            self.definition,
            self.label.format(measure.label),
            measure.unit,
            better=measure.better,
            part=measure.part,
            needs=measure.needs,
            apart=measure.apart,
            of=measure.name,
            form=self.form,
        )


class Request(NamedTuple):
    """What a study may ask for in `measure.also`: when it is taken, and what it costs."""

    name: str
    taken: str
    costs: str


TABLES: dict[str, dict[str, Quantity]] = {"lanes": {}, "history": {}, "layers": {}, "histograms": {}}
"""Table -> column -> its declaration, in the order of the columns."""
REQUESTS: dict[str, Request] = {}
"""What `measure.also` may name, in the order in which studies keep it."""


def declare(table: str, *quantities: Quantity) -> None:
    """Add columns to `table`.

    Raises:
        ValueError: the table has a column of that name.
    """
    for quantity in quantities:
        if quantity.name in TABLES[table]:
            raise ValueError(f"{quantity.name!r} is a column of {table} already")
        TABLES[table][quantity.name] = quantity


def quantity(name: str, unit: Unit = UNITLESS) -> Quantity:
    """The metric or measure `name` of ours.

    What is not declared, as one of a user's own, or in results of another version, goes by its name and its `unit`.
    """
    found = (columns[name] for columns in TABLES.values() if name in columns)
    return next(found, Quantity(name, "", name.replace("_", " "), unit))


def request(name: str, taken: str, costs: str) -> Need:
    """Let studies ask for `name` in `measure.also`; the need of what is measured then."""
    REQUESTS[name] = Request(name, taken, costs)
    return asked_for(name)


def asked_for(name: str) -> Need:
    """The need of what is measured where `measure.also` lists `name`."""
    problem = f"is only measured where measure.also lists {name!r}"
    return Need(f"without `{name}`", lambda lane: name in lane.measure.also, problem=problem)
