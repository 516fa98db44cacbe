"""What callers give, at the door: values as a study can hold them, whole numbers, and places on the disk."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bn_ablate.config.errors import ConfigError, Problem, one_of, show


def plain(value: Any) -> Any:
    """`value` in Python's own types: numbers and arrays of NumPy or JAX, ranges, tuples and mappings, all the way down.

    A number of less than 64 bits becomes the shortest decimal that stands for it: `np.float32(0.1)` is 0.1. What no
    study can hold is returned as it is.
    """
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case Mapping():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple() | range():
            return [plain(inner) for inner in value]
    if hasattr(value, "dtype"):
        return _of_array(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def _of_array(value: Any) -> Any:
    import numpy as np  # which is there already where its values are

    array = np.asarray(value)
    if array.ndim:
        return [plain(inner) for inner in array]
    match array.dtype.kind:
        case "b" | "i" | "u" | "U" | "O":
            return plain(array.item())
        case "f":
            return float(str(array[()]))
    return value


def whole_number(key: str, given: Any, least: int = 1) -> int:
    """`given`, Python's or NumPy's, as an integer of at least `least`.

    Raises:
        ConfigError: it is not one.
    """
    value = plain(given)
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise ConfigError("call", [Problem(key, f"is {show(value)}: it must be a whole number, {least} or more")])


def one_word(key: str, given: Any, known: tuple[str, ...]) -> None:
    """Check that `given` is one of the words `known`.

    Raises:
        ConfigError: it is not.
    """
    if given not in known:
        raise ConfigError("call", [Problem(key, one_of(given, known))])


def place(path: str | os.PathLike[str]) -> Path:
    """`path` with `~` and `~user` at its beginning replaced by that home, once and for all.

    A name that begins with `~` all the same, as that of `./~`, is made absolute: nothing that comes later can take it
    for a home.
    """
    text = os.fspath(path)
    here = Path(text)
    if text.startswith("~"):
        with suppress(RuntimeError):  # nobody of that name has a home
            here = here.expanduser()
    return here.absolute() if str(here).startswith("~") else here
