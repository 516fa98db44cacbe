"""Seeds until every hypothesis is decided: how many the first look has, how many the last, and those between."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bn_ablate.config.section import Section

MOST_SEEDS = 100_000
"""The most seeds that a study may have."""

_Number = Annotated[int, Field(ge=1, le=MOST_SEEDS)]


class Looks(Section):
    """`{ first = 10, most = 80, until = "decided" }`: looks planned beforehand, each with twice the seeds of the last.

    `docs/statistics.md` says how the error is spent over them, and what is decided at a look.
    """

    first: _Number = Field(description="seeds of the first look, for all cells")
    most: _Number = Field(description="seeds of the last look, for the cells of hypotheses that are open still")
    until: Literal["decided"] = Field(description="what ends it")
    start: Annotated[int, Field(ge=0, lt=2**31 - MOST_SEEDS, description="the first seed; the others follow it")] = 0

    @model_validator(mode="after")
    def _several(self) -> Looks:
        if self.first >= self.most:
            raise ValueError(
                f"first = {self.first} leaves no second look where most = {self.most}; for a fixed number of seeds say "
                f"seeds = {self.most}"
            )
        return self

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the last look; an earlier one has the first of them."""
        return tuple(range(self.start, self.start + self.most))

    @property
    def planned(self) -> tuple[int, ...]:
        """The seeds of every look, ascending: `first`, twice as many each time, and `most`."""
        looks = [self.first]
        while looks[-1] < self.most:
            looks.append(min(2 * looks[-1], self.most))
        return tuple(looks)
