"""What every table of a study file is, and the numbers that its keys take."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.names import NAME
from bn_ablate.config.precision import Float32

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Positive = Annotated[Float32, Field(gt=0.0)]
NonNegative = Annotated[Float32, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Section(BaseModel):
    """Base of every table in a study file: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
