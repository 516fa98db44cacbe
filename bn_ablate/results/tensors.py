"""Files in the safetensors format: named arrays, with text about them, that other frameworks read.

The library of the format writes and reads them (https://huggingface.co/docs/safetensors). Eight bytes give the length
of a header in JSON, whose `__metadata__` are the texts by name; then come the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_ABOUT = "__metadata__"
_LENGTH = 8


def write_tensors(file: Path, tensors: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Write `tensors`, and what there is to say `about` them: the same bytes wherever they are the same.

    The library has the texts in another order in each process; here they stand in the order that they are given in.
    """
    from safetensors.numpy import save

    raw = save({name: np.asarray(tensor, order="C") for name, tensor in tensors.items()})
    begin = _LENGTH + int.from_bytes(raw[:_LENGTH], "little")
    header = {_ABOUT: dict(about)} | json.loads(raw[_LENGTH:begin])
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)  # so that what follows is aligned
    with file.open("wb") as out:
        out.write(len(text).to_bytes(_LENGTH, "little") + text)
        out.write(memoryview(raw)[begin:])


def read_about(file: Path) -> dict[str, str]:
    """What a file says about its tensors.

    Raises:
        ValueError: it is none of the format, or damaged.
        OSError: it cannot be read.
    """
    with _opened(file) as opened:
        return dict(opened.metadata() or {})


def tensor_names(file: Path) -> list[str]:
    """The names of a file's tensors; errors as of `read_about`."""
    with _opened(file) as opened:
        return list(opened.keys())


def read_tensors(file: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The tensors called `names`, or all, as arrays in memory; errors as of `read_about`.

    Raises:
        KeyError: there is none of such a name.
    """
    with _opened(file) as opened:
        known = opened.keys()
        wanted = known if names is None else list(names)
        if unknown := set(wanted).difference(known):
            raise KeyError(min(unknown))
        return {name: opened.get_tensor(name) for name in wanted}


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as opened:
            yield opened
    except SafetensorError as error:
        raise ValueError(f"is no file of the safetensors format, or damaged: {error}") from None
