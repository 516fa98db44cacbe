"""The study schema: what a TOML file may say, and what each key means.

Everything here is frozen and strict. A `Study` holds the base settings of one lane (`data`, `model`, `norm`, `dropout`,
`train`, `measure`), the axes that span the grid around them, and the hypotheses to be tested on the results.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator

from bn_ablate.config.claims import CLAIMS, Claim
from bn_ablate.config.extensions import Extension
from bn_ablate.config.kinds import AnyHypothesis
from bn_ablate.config.looks import MOST_SEEDS, Looks
from bn_ablate.config.measures import AVERAGING
from bn_ablate.config.metrics import APART, Tables, columns_with
from bn_ablate.config.network_keys import Dropout, Model, Norm
from bn_ablate.config.own_measures import OwnMeasure, tables_of
from bn_ablate.config.quantity import Quantity, quantity
from bn_ablate.config.section import Name, Section
from bn_ablate.config.text import Text
from bn_ablate.config.training_keys import Data, Measure, Train

Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[
    Annotated[int, Field(ge=1, le=MOST_SEEDS), Tag("count")]
    | Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS), Tag("list")]
    | Annotated[Looks, Tag("looks")],
    Discriminator(lambda given: _FORMS.get(type(given), "count")),
]
_FORMS = {list: "list", tuple: "list", dict: "looks", Looks: "looks"}


class Study(Section):
    """A study: base settings, axes, exclusions, seeds and hypotheses."""

    name: Name = Field(description="what its folder of results and its runs in W&B are called")
    title: Annotated[Text, StringConstraints(max_length=200)] = Field("", description="the heading of its report")
    description: Annotated[Text, StringConstraints(max_length=20000)] = Field(
        "", description="the question, for people"
    )
    claim: Text = Field("", description="the claim that it is about, which chooses the report's first figure")
    seeds: Seeds = Field(10, description="how many seeds (0, 1, …), the list of them, or looks until decided")
    extensions: tuple[Extension, ...] = Field((), description="Python files that add to the names below")
    data: Data = Data()
    model: Model = Model()
    norm: Norm = Norm()
    dropout: Dropout = Dropout()
    train: Train = Train()
    measure: Measure = Measure()
    axes: dict[str, tuple[Any, ...]] = Field(default_factory=dict, description="factor -> its levels")
    exclude: tuple[dict[str, Any], ...] = Field((), description="combinations of levels to leave out")
    hypotheses: tuple[AnyHypothesis, ...] = ()
    claims: dict[str, Claim] = Field(
        default_factory=dict, description="name -> a claim of the study's own", exclude_if=lambda own: not own
    )

    @field_validator("seeds", mode="after")
    @classmethod
    def _seeds_differ(cls, seeds: int | tuple[int, ...] | Looks) -> int | tuple[int, ...] | Looks:
        if isinstance(seeds, tuple) and len(set(seeds)) != len(seeds):
            raise ValueError("a seed is listed twice")
        return seeds

    @property
    def known_claims(self) -> dict[str, Claim]:
        """The claims that come with the package, and the study's own."""
        return CLAIMS | self.claims

    @property
    def own_measures(self) -> dict[str, OwnMeasure]:
        """The measures of a user's own that it asks for."""
        declared = {name: of for extension in self.extensions for name, of in extension.measures.items()}
        return {name: declared[name] for name in self.measure.also if name in declared}

    @property
    def column_measures(self) -> tuple[str, ...]:
        """What its tables have columns for only where it is asked for: measures, averaged weights, its own."""
        averages = any(level != "none" for level in self.axes.get("average", (self.train.average,)))
        averaging = (AVERAGING,) if averages else ()
        return (*(name for name in self.measure.also if name in APART), *averaging, *self.own_measures)

    @property
    def tables(self) -> Tables:
        """The columns of the tables of its results, by table and name."""
        asked = columns_with(self.column_measures)
        every = tables_of(self.own_measures)
        return {table: {name: columns[name] for name in asked[table]} for table, columns in every.items()}

    def quantity(self, metric: str) -> Quantity:
        """The metric `metric` of its lanes."""
        return self.tables["lanes"].get(metric) or quantity(metric)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, as a tuple; with looks, those of the last one."""
        seeds = self.seeds.seeds if isinstance(self.seeds, Looks) else self.seeds
        return tuple(range(seeds)) if isinstance(seeds, int) else seeds

    def at_look(self, seeds: int) -> Study:
        """The study with its first `seeds` seeds, as a fixed number of them."""
        return self.model_copy(update={"seeds": self.seed_list[:seeds]})

    @property
    def looks(self) -> tuple[int, ...]:
        """The seeds of every look that is planned; none where the number of seeds is fixed."""
        return self.seeds.planned if isinstance(self.seeds, Looks) else ()
