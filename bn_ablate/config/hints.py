"""Which key, axis or factor of a study somebody meant: of the right kind, and with the table that it stands in."""

from __future__ import annotations

from collections.abc import Iterable

from bn_ablate.config.errors import did_you_mean, nearest
from bn_ablate.config.factors import FACTORS, SECTIONS
from bn_ablate.config.schema import Study
from bn_ablate.config.synonyms import KEYS, NOTES, spelled

_PATHS = (*Study.model_fields, *(f"{name}.{field}" for name, table in SECTIONS.items() for field in table.model_fields))
_FACTOR_AT = {factor.path: name for name, factor in FACTORS.items()}


def key_hint(name: str, table: str, fields: Iterable[str]) -> str:
    """`; did you mean 'train.learning_rate'?` for a key that `table`, with these `fields`, has not; or nothing.

    What other frameworks call a field of that table comes first, then what they call that of another one, or what is
    called so there, and the nearest name of that table last.
    """
    if note := NOTES.get(spelled(name)):
        return f"; {note}"
    within, _, last = name.rpartition(".")  # a key in quotes, as "train.lr"
    if paths := _paths_of(last, within or table):
        return did_you_mean(paths[0].removeprefix(f"{table}.") if table else paths[0])
    return nearest(name, fields)


def factor_hint(name: str) -> str:
    """What somebody who made `name` an axis may have meant: a factor, or something that cannot be one; or nothing."""
    if note := NOTES.get(spelled(name)):
        return f"; {note}"
    paths = _paths_of(name)
    if "seeds" in paths:
        return "; how many seeds there are stands at the top of a study, as seeds = 10"
    if factor := next((_FACTOR_AT[path] for path in paths if path in _FACTOR_AT), None):
        return did_you_mean(factor)
    if path := next((path for path in paths if "." in path), None):
        return f"; {path} is a setting that all lanes of a study share"
    return nearest(name, FACTORS)


def axis_hint(name: str, axes: Iterable[str]) -> str:
    """Which of the `axes` of a study `name` means, or why it is none."""
    axes, paths = list(axes), _paths_of(name)
    meant = ["seed" if path == "seeds" else _FACTOR_AT.get(path, path) for path in paths]
    if axis := next((axis for axis in meant if axis in axes), None):
        return did_you_mean(axis)
    if "seed" in meant:
        return "; hypotheses are about all seeds"
    if name in FACTORS:
        return f"; it is a factor, and an axis where a study says so: [axes] {name} = […]"
    return nearest(name, axes)


def _paths_of(name: str, table: str = "") -> list[str]:
    """The dotted paths of the keys that `name` may mean, the likeliest first: those of `table`, a factor's, the others.

    Words of other frameworks come before keys of other tables that are called so.
    """
    said = spelled(name)
    if name in FACTORS and FACTORS[name].path != f"{table}.{name}":
        return [FACTORS[name].path]
    called = [path for path in _PATHS if said in (spelled(path), spelled(path.rpartition(".")[2]))]
    found = [path for path in (*KEYS.get(said, ()), *called) if path in _PATHS or (table and path.startswith(table))]
    return sorted(dict.fromkeys(found), key=lambda path: not path.startswith(f"{table}."))
