"""Measures of a user's own: what results hold of them, so that they are read without the file that computes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.measures import FRACTION, GRADIENT, MEASURES, NATS, RATIO, STEPS, VALUE
from bn_ablate.config.metrics import OF_LAYERS, Tables, tables_with
from bn_ablate.config.quantity import TABLES, Quantity, Unit, asked_for
from bn_ablate.config.registry import NAME
from bn_ablate.config.text import Text

UNITS = {unit.name: unit for unit in (VALUE, RATIO, FRACTION, NATS, GRADIENT, STEPS)}
"""Units that are shown as those of ours are, a fraction in percent; any other word is shown as it is."""


class OwnMeasure(BaseModel):
    """The declaration of a measure by layer of a user's own."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    definition: Annotated[Text, StringConstraints(min_length=1, max_length=500)] = Field(description="what it is")
    label: Annotated[Text, StringConstraints(min_length=1, max_length=80)] = Field(description="its words in reports")
    unit: Annotated[Text, StringConstraints(max_length=40)] = Field("", description="its unit; none when empty")
    better: Literal["lower", "higher"] | None = Field(None, description="which values are better, where that is so")

    def quantity(self, name: str) -> Quantity:
        """The column of `layers.parquet`."""
        needs = (asked_for(name),)
        return Quantity(name, self.definition, self.label, unit_called(self.unit), better=self.better, needs=needs)


def unit_called(name: str) -> Unit:
    """The unit of this name."""
    return UNITS.get(name, Unit(name, shown=name))


def tables_of(own: Mapping[str, OwnMeasure]) -> Tables:
    """The columns of every table with those of a user's `own` measures."""
    return tables_with(of.quantity(name) for name, of in own.items())


def check_name(name: str) -> str:
    """`name`, if a measure of a user's own may be called so.

    Raises:
        ValueError: it cannot be a name, or a column that it would get is there already.
    """
    from bn_ablate.config.factors import FACTORS

    if not NAME.fullmatch(name) or name.startswith("first_") or name.endswith("_start"):
        raise ValueError(
            f"{name!r} cannot be the name of a measure: lower-case letters, digits and _ can, without first_ at its "
            "beginning and _start at its end, which its metrics have"
        )
    if name in MEASURES.own:
        raise ValueError(f"the measure {name!r} is one of bn_ablate's own; choose another name")
    taken = {*TABLES["lanes"], *TABLES["layers"], *FACTORS, "site", "origin"}
    for column in (name, *(form.name.format(name) for form in OF_LAYERS)):
        if column in taken:
            raise ValueError(f"{column!r} is a column of the tables already: choose another name for the measure")
    return name
