"""The kinds of hypotheses, a module for each: one that lies in this folder is known everywhere.

How each is estimated and judged is in `analysis.judge.kinds`, in a module of the same kind.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Field

from bn_ablate.config.gathered import modules_of
from bn_ablate.config.hypotheses import Hypothesis

KINDS: dict[Any, type[Hypothesis]] = {
    get_args(found.model_fields["kind"].annotation)[0]: found
    for module in modules_of(__name__, __path__)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, Hypothesis) and found.__module__ == module.__name__
}
"""Kind -> what a hypothesis of that kind says."""

if TYPE_CHECKING:
    AnyHypothesis = Hypothesis
else:
    AnyHypothesis = Annotated[reduce(or_, KINDS.values()), Field(discriminator="kind")]
