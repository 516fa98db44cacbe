"""How the kinds of hypotheses are estimated and judged: a module for each, under the name that `config.kinds` has."""

from __future__ import annotations

from typing import Any

from bn_ablate.analysis.judge.estimands import Kind, Record
from bn_ablate.config.gathered import modules_of

KINDS: dict[str, Kind[Any]] = {
    found.kind: found()
    for module in modules_of(__name__, __path__)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, Kind) and found.__module__ == module.__name__
}


def kind_of(record: Record) -> Kind[Any]:
    """The kind of the hypothesis that a record of `claims.json` is about."""
    return KINDS[record["kind"]]
