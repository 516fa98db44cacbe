"""Normalizers, declared: which values share statistics, what is done with these, and what evaluation uses.

What else depends on a normalizer follows from its declaration: which factors act, whether a bias before it does
anything, where the measures of moving statistics are null, and for which blocks it leaves nothing. `nn.norm` computes
with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, TypeVar

from bn_ablate.config.architectures import Shape
from bn_ablate.config.registry import Registry

T = TypeVar("T", bound=Callable[..., Any])
Over = Literal["batch", "example", "group", "channel"]

OF_MOVING = ("momentum", "momentum_end", "moving_average", "frozen_from", "statistics", "since", "until")
"""The keys of `norm` that say something to moving statistics."""

KEYS = frozenset({*OF_MOVING, "epsilon", "epsilon_on", "batch_size", "groups", "gradient"})
"""The keys of `norm` that act in some normalizers only, and are taken to act in those of a user's own."""


@dataclass(frozen=True, kw_only=True)
class Normalizer:
    """y = γ · (x − centre) / √(square + ε) + β, or γ · tanh(α · x) + β, with γ and β for each channel.

    Attributes:
        over: the values that share a centre and a square. `batch`: those of a channel, over examples and places. The
            others are of one example: all of it (`example`), a group of its channels (`group`), a channel (`channel`).
            `value`: none do, for want of statistics.
        centre: what is subtracted: the mean, or nothing.
        square: what a root of divides: the biased variance, the mean square, or nothing.
        running: what is kept of the statistics of batches. `average`: moving averages, by which evaluation normalizes.
            `first`: those of the first training batch, as constants, by which all later ones are normalized, and
            evaluation. `nothing`: evaluation does what training does.
        squashes: there are no statistics, but a tanh of α · x, and α, one for each place it stands in, is trained.
        corrected: training takes the batch's statistics only as far as they are within bounds of the moving ones.
        statistics: a function of a user's own that gives the centre and the square.
    """

    over: Over | Literal["value"]
    centre: Literal["mean", "nothing"] = "mean"
    square: Literal["variance", "mean square", "nothing"] = "variance"
    running: Literal["average", "first", "nothing"] = "nothing"
    squashes: bool = False
    corrected: bool = False
    statistics: Callable[..., Any] | None = None

    @property
    def absorbs_bias(self) -> bool:
        """Whether what is added to a channel before is subtracted again."""
        by_channel = self.of_plain_batch or (self.over == "channel" and self.statistics is None)
        return by_channel and self.centre == "mean"

    @property
    def looks_back(self) -> bool:
        """Whether training looks at the statistics that are kept."""
        return self.corrected or self.running == "first"

    @property
    def of_plain_batch(self) -> bool:
        """Whether it does no more in training than BN, or a part of it."""
        return self.over == "batch" and self.statistics is None and not self.looks_back

    @property
    def standardizes(self) -> bool:
        """Whether what it divides has mean 0 and variance 1."""
        return self.statistics is None and (self.centre, self.square) == ("mean", "variance")

    @property
    def keeps(self) -> tuple[bool, bool]:
        """Whether it keeps a mean, and a variance, by which evaluation normalizes."""
        kept = self.running != "nothing"
        return kept and self.centre != "nothing", kept and self.square != "nothing"

    @property
    def passes(self) -> tuple[bool, bool]:
        """Whether the gradient of x passes through what is subtracted, and through what divides."""
        if self.statistics:
            return True, True
        constant = self.running == "first"
        return not constant and self.centre != "nothing", not constant and self.square != "nothing"

    @property
    def moves(self) -> tuple[bool, bool]:
        """Whether these are moving averages."""
        return self.keeps if self.running == "average" else (False, False)

    @cached_property
    def uses(self) -> frozenset[str]:
        """Which keys of `norm` act that do not in all normalizers.

        Of one of a user's own, whose file may not be there, all of `KEYS` are taken to.
        """
        acting = {
            **dict.fromkeys(OF_MOVING, self.running == "average"),
            "moving_variance": self.moves[1],
            **dict.fromkeys(("epsilon", "epsilon_on"), self.square != "nothing"),
            "batch_size": self.over == "batch",
            "groups": self.over == "group",
            "gradient": any(self.passes),
            "alpha_init": self.squashes,
            "r_max": self.corrected,
            "d_max": self.corrected,
        }
        return KEYS if self.statistics else frozenset(key for key, acts in acting.items() if acts)

    def misfit(self, shape: Shape, groups: int) -> tuple[str, str] | None:
        """Why it cannot normalize examples of this shape: the key of `norm`, and words, with a gap for the place."""
        *places, channels = shape
        if self.over == "group" and channels % groups:
            fitting = max(n for n in range(1, min(groups, channels) + 1) if channels % n == 0)
            return "groups", f"does not divide the {channels} channels of {{}}; {fitting} does"
        together = {"batch": math.inf, "example": channels, "group": channels // groups, "channel": 1}
        if self.statistics is None and self.centre == "mean" and together[self.over] * math.prod(places) == 1:
            return (
                "kind",
                "leaves nothing of {}, where every value would be its own mean: let norm.coverage leave it out",
            )
        return None


NORMALIZERS: Registry[Normalizer] = Registry(
    "normalizer",
    "norm.kind",
    *("batch", "layer", "group", "instance", "rms", "mean_only", "variance_only", "batch_renorm", "fixed", "dyt"),
)
"""By name."""


def used_by(name: str) -> frozenset[str]:
    """Which keys of `norm` act with the normalizer `name` that do not with all: `KEYS`, where its file is not there."""
    found = NORMALIZERS.get(name)
    return found.uses if found else KEYS


NormalizerName = Annotated[str, NORMALIZERS.named]


def normalizer(name: str, *, over: Over) -> Callable[[T], T]:
    """Register the decorated function as the normalizer `name`, which `norm.kind` may then say.

    It takes x in float32 and the axes of the values that share statistics, and gives what is subtracted and what a root
    of divides, with axes of length 1 in their places: y = γ · (x − centre) / √(square + ε) + β. JAX derives it. Those
    `over` a batch have moving averages, by which evaluation normalizes; the others do in evaluation what they do in
    training.

    Args:
        name: how studies call it.
        over: the values that share statistics: those of a channel over the `batch` and its places, of an `example`, of
            a `group` of its channels (`norm.groups`), of a `channel` of an example.

    Raises:
        ValueError: the name is taken.

    Examples:
        >>> @bn.normalizer("absolute", over="batch")
        ... def absolute(x, axes):
        ...     centre = x.mean(axes, keepdims=True)
        ...     return centre, abs(x - centre).mean(axes, keepdims=True) ** 2
        >>> bn.build_study(name="mine", axes={"norm_kind": ["batch", "absolute"]}).axes["norm_kind"]
        ('batch', 'absolute')
    """

    def register(statistics: T) -> T:
        running: Literal["average", "nothing"] = "average" if over == "batch" else "nothing"
        NORMALIZERS.add(name, Normalizer(over=over, running=running, statistics=statistics), statistics)
        return statistics

    return register


for _name, _ours in {
    "batch": Normalizer(over="batch", running="average"),  # Ioffe & Szegedy 2015, arXiv 1502.03167
    "layer": Normalizer(over="example"),  # Ba, Kiros & Hinton 2016, arXiv 1607.06450
    "group": Normalizer(over="group"),  # Wu & He 2018, arXiv 1803.08494
    "instance": Normalizer(over="channel"),  # Ulyanov, Vedaldi & Lempitsky 2016, arXiv 1607.08022
    "rms": Normalizer(over="example", centre="nothing", square="mean square"),  # Zhang & Sennrich 2019, 1910.07467
    "mean_only": Normalizer(over="batch", square="nothing", running="average"),  # Salimans & Kingma 2016, 1602.07868
    "variance_only": Normalizer(over="batch", centre="nothing", running="average"),
    "batch_renorm": Normalizer(over="batch", running="average", corrected=True),  # Ioffe 2017, arXiv 1702.03275
    "fixed": Normalizer(over="batch", running="first"),  # Krähenbühl et al. 2016, arXiv 1511.06856
    "dyt": Normalizer(over="value", centre="nothing", square="nothing", squashes=True),  # Zhu et al. 2025, 2503.10622
}.items():
    NORMALIZERS.add(_name, _ours)
