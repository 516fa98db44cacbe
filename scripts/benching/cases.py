"""What is trained: the grids that every peer trains, each in its own way. Needs the standard library only."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple


class Structure(NamedTuple):
    """The part of a lane that is no mere number: what a peer has to lay out, or compile, anew."""

    placement: str
    activation: str


class Lane(NamedTuple):
    """One network to be trained."""

    structure: Structure
    rate: float
    seed: int


class Layer(NamedTuple):
    """A block of the network: Dense or 3×3 convolution, its units or channels, and whether 2×2 max-pooling follows."""

    kind: Literal["dense", "conv"]
    units: int
    pooled: bool = False


@dataclass(frozen=True)
class Case:
    """A grid: placements × activations × dropout rates × seeds, trained for some steps.

    Attributes:
        name: as on the command line.
        title: as in the tables.
        architecture, depth, width: the network, as bn_ablate means them.
        batch_size, steps, learning_rate, momentum: the optimization, SGD.
        bn_momentum: decay of BN's moving statistics.
        placements, activations, rates, seeds: the grid.
        images: `digits` (8×8×1, real) or `random` (32×32×3, made up).
        every: ours is measured every so many steps; None: at the start and the end alone. Peers measure nothing.
        whole: compile everything that the study needs, and hold the training losses of the peers together.
    """

    name: str
    title: str
    architecture: Literal["mlp", "cnn"] = "mlp"
    depth: int = 3
    width: int = 128
    batch_size: int = 128
    steps: int = 100
    learning_rate: float = 0.05
    momentum: float = 0.9
    bn_momentum: float = 0.9
    placements: tuple[str, ...] = ("none", "pre", "post")
    activations: tuple[str, ...] = ("sigmoid", "tanh", "relu", "gelu")
    rates: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7)
    seeds: int = 1
    images: Literal["digits", "random"] = "digits"
    every: int | None = None
    whole: bool = False

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Case:
        """The case that `to_json` made this of."""
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
        return cls(**settings)

    def to_json(self) -> dict[str, Any]:
        """All attributes, by name."""
        return asdict(self)

    @property
    def structures(self) -> list[Structure]:
        """Every placement with every activation."""
        return list(itertools.starmap(Structure, itertools.product(self.placements, self.activations)))

    @property
    def n_configurations(self) -> int:
        """How many combinations of placement, activation and rate there are."""
        return len(self.structures) * len(self.rates)

    @property
    def n_lanes(self) -> int:
        """How many networks there are."""
        return self.n_configurations * self.seeds

    @property
    def layers(self) -> list[Layer]:
        """The blocks of the network, which a Dense layer to the logits follows."""
        if self.architecture == "mlp":
            return [Layer("dense", self.width)] * self.depth
        convolutions = [Layer("conv", self.width * 2 ** (i // 2), i % 2 == 1) for i in range(self.depth - 1)]
        return [*convolutions, Layer("dense", 4 * self.width)]

    def lanes_of(self, structure: Structure) -> list[Lane]:
        """The lanes of one structure."""
        return [Lane(structure, rate, seed) for seed in range(self.seeds) for rate in self.rates]

    def sample(self) -> list[Lane]:
        """A lane of each structure at seed 0, with every rate about equally often: they stand for all lanes."""
        return [Lane(structure, self.rates[i % len(self.rates)], 0) for i, structure in enumerate(self.structures)]


MLP_72 = Case("mlp-72", "MLP 3×128, 72 lanes", whole=True)
MLP_720 = Case("mlp-720", "MLP 3×128, 720 lanes", batch_size=64, steps=400, seeds=10, every=50)
"""As many networks as the main study has, as long, and measured as often."""
MLP_8X256 = Case("mlp-8x256", "MLP 8×256, 72 lanes", depth=8, width=256, steps=24, learning_rate=0.01)
CNN_24 = Case(
    "cnn-24",
    "CNN 5×16, 24 lanes",
    architecture="cnn",
    depth=5,
    width=16,
    batch_size=32,
    steps=16,
    learning_rate=0.01,
    rates=(0.0, 0.3),
    images="random",
)
CASES = {case.name: case for case in (MLP_720, MLP_72, MLP_8X256, CNN_24)}


def shortened(case: Case) -> Case:
    """`case` with few levels and steps: to see that all of it works, not to quote."""
    few = {"activations": case.activations[1:3], "rates": case.rates[::3], "seeds": min(case.seeds, 2)}
    short = replace(case, steps=min(case.steps, 40), **few)  # type: ignore[arg-type]
    return replace(short, title=f"{case.title.rpartition(',')[0]}, {short.n_lanes} lanes")
