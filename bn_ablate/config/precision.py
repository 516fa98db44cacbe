"""Numbers as they are used: a study says them in float64, and training computes in float32 or less.

A number is refused where its rounding would make it another thing than what was asked for: 0, infinity, or a bound that
it may not reach. XLA counts the subnormal numbers of float32 as 0.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

SMALLEST = 2.0**-126
"""The smallest number above 0 of float32, and of bfloat16, that is not subnormal."""
LARGEST = (2.0 - 2.0**-23) * 2.0**127
BELOW_ONE = 1.0 - 2.0**-24
ABOVE_ONE = 1.0 + 2.0**-23
RATES = 65536
"""A dropout rate is resolved to multiples of 1/RATES: dropout compares 16 random bits with it."""


def float32(value: float) -> float:
    """`value` rounded to float32, to the nearest, ties to even; ±inf beyond its range, 0 below `SMALLEST`."""
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(rounded) if abs(rounded) >= SMALLEST else 0.0


def bfloat16(value: float) -> float:
    """`value` rounded to float32 and then to bfloat16, which keeps its upper 16 bits; ±inf and 0 as in `float32`."""
    (bits,) = struct.unpack("I", struct.pack("f", float32(value)))
    (rounded,) = struct.unpack("f", struct.pack("I", bits + 0x7FFF + (bits >> 16 & 1) & 0xFFFF0000))
    return float(rounded)


def rate16(value: float) -> float:
    """A dropout rate as a share of 65536, to which `nn.dropout` resolves it."""
    return round(RATES * float32(value)) / RATES


@dataclass(frozen=True)
class Used:
    """Validates that a number, as `rounded`, is none of `limits` unless it is that limit itself.

    Attributes:
        rounded: the number that stands for one that a study says.
        where: how it is rounded, for people.
        limits: what a number must not be rounded to, and what can be said instead.
    """

    rounded: Callable[[float], float]
    where: str
    limits: tuple[tuple[float, str], ...]

    def __call__(self, value: float) -> float:
        """`value` itself.

        Raises:
            ValueError: it would be rounded to one of the limits.
        """
        used = self.rounded(value)
        for limit, remedy in self.limits:  # a pair each, and no dict, since types must be hashable
            if used == limit != value:
                raise ValueError(f"is {value!r}, which is {used:g} {self.where}; {remedy}")
        return value

    def merged(self, values: Iterable[float]) -> Iterator[str]:
        """For different numbers that are one number where they are used, which these are."""
        found: dict[float, list[float]] = {}
        for value in dict.fromkeys(values):
            found.setdefault(self.rounded(value), []).append(value)
        for used, alike in found.items():
            if len(alike) > 1:
                yield f"{', '.join(map(repr, alike))}, which are one number, {used:.8g}, {self.where}"


_IN_FLOAT32 = "in float32, in which it is used"
_ZERO = (0.0, f"the smallest above 0 is {SMALLEST:.8g}")
_INFINITE = ((math.inf, f"the largest is {LARGEST:.8g}"), (-math.inf, f"the least is {-LARGEST:.8g}"))
_ONE = (1.0, f"the largest below 1 is {BELOW_ONE:.8g}")

Float32 = Annotated[float, Field(allow_inf_nan=False), AfterValidator(Used(float32, _IN_FLOAT32, (_ZERO, *_INFINITE)))]
"""A number that is finite in float32, and 0 there only if it is 0."""

Share32 = Annotated[float, Field(ge=0.0, le=1.0), AfterValidator(Used(float32, _IN_FLOAT32, (_ZERO, _ONE)))]
"""A number from 0 to 1 that is 0 or 1 in float32 only if it is that."""

_BOUND_LIMITS = ((1.0, f"the smallest above 1 is {ABOVE_ONE:.8g}"), _INFINITE[0])

Bound32 = Annotated[
    float, Field(ge=1.0, allow_inf_nan=False), AfterValidator(Used(float32, _IN_FLOAT32, _BOUND_LIMITS))
]
"""A finite bound on a ratio, which is 1 in float32 only if it is 1."""

_RATE_LIMITS = ((0.0, f"the smallest above 0 is {1 / RATES:.6g}"), (1.0, f"the largest is {1 - 1 / RATES:.6g}"))

Rate16 = Annotated[
    float,
    Field(ge=0.0, lt=1.0),
    AfterValidator(Used(rate16, f"in steps of 1/{RATES}, to which it is resolved", _RATE_LIMITS)),
]
"""A dropout rate: as a share of 65536 it is below 1, and 0 only if it is 0."""


def used_as(model: type[BaseModel], field: str) -> Used | None:
    """How a number of this field of `model` is rounded where it is used; None for what is used as it is."""
    validators = (part.func for part in model.model_fields[field].metadata if isinstance(part, AfterValidator))
    return next((used for used in validators if isinstance(used, Used)), None)
