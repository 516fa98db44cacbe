"""Measures on request: the formula of each, registered under the name by which `measure.also` asks for it.

The arguments of a formula are what it is computed from, by the names of `engine.extras.Seen`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from bn_ablate.config import measures as known
from bn_ablate.config.extensions import ExtensionError
from bn_ablate.config.own_measures import OwnMeasure, check_name
from bn_ablate.config.registry import Registry

Formula = TypeVar("Formula", bound=Callable[..., Any])
ON_PROBE = ("z", "a", "slope")
"""What a measure by layer on the probe may see."""


class Asked(NamedTuple):
    """How a measure on request is computed.

    Attributes:
        formula: gives the values of its columns, by their names.
        sees: the names of its arguments.
        declared: what results hold of a user's own; `config.measures` declares ours.
    """

    formula: Callable[..., dict[str, Array]]
    sees: tuple[str, ...]
    declared: OwnMeasure | None = None


MEASURES: Registry[Asked] = known.MEASURES
"""By name."""


def measured(
    name: str,
    *,
    definition: str = "",
    label: str = "",
    unit: str = "",
    better: Literal["lower", "higher"] | None = None,
) -> Callable[[Formula], Formula]:
    """Register the decorated function as the formula of the measure `name`, which `measure.also` may then list.

    A user's own is taken of every layer on the probe, at every measurement, and gives one number, in terms of
    `jax.numpy`. Its arguments are, by name and in any order, those that it needs of

    - `z`: the activation's input, `(batch, *places, units)`, float32;
    - `a`: the activation's output, of the same shape, before dropout;
    - `slope`: |f'(z)| / max |f'|, of the same shape.

    Args:
        name: how studies call it, and its column of `layers.parquet`; `config.metrics.OF_LAYERS` has what lanes come
            to by it.
        definition: what it is, in a sentence.
        label: its words in reports; its name where it is not given.
        unit: its unit: `value`, `ratio`, `fraction` (shown in percent), `nats`, or another word, which is shown as it
            is.
        better: which values are better, where that can be said.

    Raises:
        ValueError: the name is taken, or would give a column that is there; there is no definition; or an argument is
            none of those.

    Examples:
        >>> @bn.measured("fourth", label="fourth moment of z", definition="E[(z − mean)⁴] / var²", unit="ratio")
        ... def fourth(z):
        ...     return ((z - z.mean()) ** 4).mean() / z.var() ** 2
        >>> bn.build_study(name="mine", measure={"also": ["fourth"]}).measure.also
        ('fourth',)
    """

    def register(formula: Formula) -> Formula:
        sees = tuple(inspect.signature(formula).parameters)
        if name in MEASURES.own:
            MEASURES.add(name, Asked(formula, sees))
            return formula
        check_name(name)
        if not definition:
            raise ValueError(f"the measure {name!r} needs a definition: what it is, in a sentence")
        if strange := [argument for argument in sees if argument not in ON_PROBE]:
            raise ValueError(f"the measure {name!r} asks for {strange[0]!r}: it can see {', '.join(ON_PROBE)}")
        words = label or name.replace("_", " ")
        declared = OwnMeasure(definition=definition, label=words, unit=unit, better=better)

        def one_number(*seen: Float[Array, "batch *places units"]) -> dict[str, Array]:
            value = jnp.asarray(formula(**dict(zip(sees, seen, strict=True))), jnp.float32)
            if value.shape:
                raise ExtensionError(
                    f"the measure {name!r} gives an array of shape {value.shape}: it should give one number of a layer"
                )
            return {name: value}

        MEASURES.add(name, Asked(one_number, sees, declared), source=formula)
        return formula

    return register
