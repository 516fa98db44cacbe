"""All factors, gathered from the keys of a study at which they are declared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bn_ablate.config.factor import Factor
from bn_ablate.config.network_keys import Dropout, Model, Norm
from bn_ablate.config.section import Section
from bn_ablate.config.training_keys import Data, Measure, Train

SECTIONS: dict[str, type[Section]] = {
    "norm": Norm,
    "model": Model,
    "dropout": Dropout,
    "train": Train,
    "data": Data,
    "measure": Measure,
}
"""The tables of a study that settle what a lane is, in the order of the names of cells."""


def _declared() -> Iterator[Factor]:
    for section, model in SECTIONS.items():
        for key, info in model.model_fields.items():
            for factor in (given for given in info.metadata if isinstance(given, Factor)):
                yield replace(
                    factor,
                    axis=factor.axis or key,
                    path=f"{section}.{key}",
                    default=info.default,
                    description=info.description or "",
                )


SETTINGS = {factor.axis: factor for factor in sorted(_declared(), key=lambda factor: not factor.traced)}
"""What is declared by its name: those that share one program first."""
FACTORS = {name: setting for name, setting in SETTINGS.items() if setting.is_axis}
"""Axis -> factor."""
