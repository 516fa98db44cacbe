"""Claims, what is said of Batch Normalization and hypotheses put to the test: a TOML file in this folder for each.

A study brings claims of its own in tables of the same keys, `[claims.NAME]`. Literature is in `literature.bib`, or in
`bibtex`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bn_ablate.config.errors import Problem, nearest, one_of, show
from bn_ablate.config.registry import Registry
from bn_ablate.config.text import Text

if TYPE_CHECKING:
    from bn_ablate.config.schema import Study

Draw = TypeVar("Draw", bound=Callable[..., Any])
Sentence = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class Claim(BaseModel):
    """What is claimed, what would support and contradict it, and what it is shown with."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    says: Sentence = Field(description='what Batch Normalization is or does, as in "regularizes slightly"')
    supported_if: Sentence | None = Field(None, description="what supports it, as a clause")
    contradicted_if: Sentence | None = Field(None, description="what contradicts it, as a clause")
    cites: tuple[str, ...] = Field((), description="literature: keys of literature.bib or of bibtex")
    bibtex: Annotated[Text, StringConstraints(max_length=20000)] = Field("", description="entries of its own")
    figure: str = Field("", description="its figure: one of ours, or a user's own; none when empty")


def _claims() -> Iterator[tuple[str, Claim]]:
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        name, _, kind = file.name.partition(".")
        if kind == "toml":
            yield name, Claim.model_validate(tomllib.loads(file.read_text(encoding="utf-8")), strict=False)


CLAIMS: dict[str, Claim] = dict(_claims())
"""The claims that come with the package, by name."""


class ClaimFigure(NamedTuple):
    """The axes without which there is nothing to draw, and what draws."""

    axes: frozenset[str]
    draw: Callable[..., Any]


FIGURES: Registry[ClaimFigure] = Registry(
    "figure", "claims.figure", *dict.fromkeys(filter(None, (claim.figure for claim in CLAIMS.values()))), of_lanes=False
)
"""What claims call their figures."""


def figure(name: str, *axes: str) -> Callable[[Draw], Draw]:
    """Register the decorated function as the figure `name`, which claims may then name: `figure = "name"`.

    It takes `Results`, of a study that varies these `axes`, and gives a `Chart`, or None where it lacks the numbers. It
    is called with the style of the report's figures.

    Raises:
        ValueError: the name is taken.
    """

    def register(draw: Draw) -> Draw:
        FIGURES.add(name, ClaimFigure(frozenset(axes), draw), source=draw)
        return draw

    return register


@cache
def literature() -> str:
    """`literature.bib`: what claims and methods cite, and the data sets."""
    return files(__name__).joinpath("literature.bib").read_text(encoding="utf-8")


def check_claims(study: Study) -> Iterator[Problem]:
    """What is wrong with the claims of a study's own, and with the names of claims in it."""
    provided = (name for extension in study.extensions for name in extension.provides.get(FIGURES.kind, ()))
    figures = tuple(dict.fromkeys((*FIGURES.names, *provided)))
    for name, claim in study.claims.items():
        yield from _check(f"claims.{name}", name, claim, figures)
    stated = [("claim", study.claim), *((f"hypotheses[{i}].claim", h.claim) for i, h in enumerate(study.hypotheses))]
    for key, name in stated:
        if name and name not in study.known_claims:
            known, hint = ", ".join(study.known_claims), nearest(name, study.known_claims)
            yield Problem(key, f"{show(name)} is none of {known}, and there is no table [claims.{name}]{hint}")


def _check(key: str, name: str, claim: Claim, figures: tuple[str, ...]) -> Iterator[Problem]:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", name):
        yield Problem(key, "is no name of a claim: letters, digits, _ and -, of which there are 32 at most")
    if name in CLAIMS:
        yield Problem(key, "is a claim that comes with the package: give yours another name")
    if claim.figure not in ("", *figures):
        yield Problem(f"{key}.figure", one_of(claim.figure, figures))
    entries = re.findall(r"@\w+\s*\{\s*([^,\s]+)\s*,", literature() + claim.bibtex)
    for cited in (cited for cited in claim.cites if cited not in entries):
        yield Problem(
            f"{key}.cites",
            f"{show(cited)} is no entry of {key}.bibtex, nor one that comes with the package{nearest(cited, entries)}",
        )
