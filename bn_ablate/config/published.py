"""Published tables: TOML files of what others measured, to hold results against (docs/replications.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from bn_ablate.config.errors import ConfigError, Problem
from bn_ablate.config.given import place
from bn_ablate.config.load import explain
from bn_ablate.config.section import Name, Section
from bn_ablate.config.shipped import PUBLISHED
from bn_ablate.config.study_files import read_table
from bn_ablate.config.text import Text

Number = Annotated[float, Field(allow_inf_nan=False)]
Sentence = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class Row(Section):
    """What was published of one cell, or of the difference of two."""

    id: Name
    cell: dict[str, Any] = Field(description="factor -> level; those left out must have one level in the study")
    minus: dict[str, Any] | None = Field(None, description="the cell that is subtracted, seed by seed")
    metric: str
    values: tuple[Number, ...] = Field((), description="of each run, or their mean alone")
    unit: Annotated[Number, Field(ge=0.0)] = Field(0.0, description="of the last digit that was published")
    sd: Annotated[Number, Field(gt=0.0)] | None = Field(None, description="from run to run, where it is known")
    direction: Literal["greater", "less"] | None = Field(None, description="in the place of values: of cell − minus")
    not_comparable: Sentence | None = Field(None, description="why, where that is known before any run")
    differences: tuple[Sentence, ...] = Field((), description="of protocol, besides those of the table")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Row:
        if bool(self.values) == bool(self.direction):
            raise ValueError(f"the row {self.id!r} must say values, or else a direction, and not both")
        if self.direction and self.minus is None:
            raise ValueError(f"the row {self.id!r} says a direction: minus must name the cell that is subtracted")
        return self


class Published(Section):
    """A table of what was published."""

    source: Sentence
    protocol: dict[str, Any] = Field(
        default_factory=dict, description="factor, or section.key -> what a study must have for a row to be comparable"
    )
    differences: tuple[Sentence, ...] = Field((), description="of protocol, between all its rows and the study")
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _ids_differ(self) -> Published:
        ids = [row.id for row in self.rows]
        if twice := sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} is the id of two rows")
        return self


def load_published(path: str | Path) -> Published:
    """The published table in the TOML file `path`.

    Raises:
        ConfigError: it cannot be read or says something that cannot be used; every problem is named.
    """
    path = place(path)
    try:
        return Published.model_validate_json(json.dumps(read_table(path), default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(str(path), explain(error, Published)) from None


def published_for(study: str) -> Path:
    """The published table that comes with the package for the study of that name.

    Raises:
        ConfigError: there is none.
    """
    files = {file.stem: file for file in sorted(PUBLISHED.glob("*.toml"))}
    if study in files:
        return files[study]
    said = f"no published table comes with bn_ablate for the study {study!r} (there are those of {', '.join(files)})"
    raise ConfigError("--published", [Problem("", f"{said}; write one, as docs/replications.md says, and name it")])
