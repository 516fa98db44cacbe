"""Files in the safetensors format: named arrays, with text about them, that other frameworks read.

Eight bytes give the length of a header, which is JSON: of each tensor its type, shape and place in what follows, and
under `__metadata__` texts by name. Then come the tensors, little-endian, in C order, without gaps.
(https://huggingface.co/docs/safetensors)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BOOL": "|b1",
    **{f"{letter}{8 * size}": f"<{kind}{size}" for letter, kind in (("I", "i"), ("U", "u")) for size in (1, 2, 4, 8)},
}
"""How the format names the types of arrays."""
_NAMES = {np.dtype(kind): name for name, kind in _TYPES.items()}
_ABOUT = "__metadata__"
_LENGTH = 8


def write_tensors(file: Path, tensors: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Write `tensors`, and what there is to say `about` them; large types come first, so that all are aligned."""
    header: dict[str, Any] = {_ABOUT: dict(about)}
    order, end = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)), 0
    for name in order:
        begin, end = end, end + tensors[name].nbytes
        kind = _NAMES[tensors[name].dtype.newbyteorder("<")]
        header[name] = {"dtype": kind, "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _LENGTH)  # so that what follows is aligned
    with file.open("wb") as out:
        out.write(len(text).to_bytes(_LENGTH, "little") + text)
        for name in order:
            out.write(np.ascontiguousarray(tensors[name].astype(_TYPES[header[name]["dtype"]], copy=False)).tobytes())


def read_about(file: Path) -> dict[str, str]:
    """What a file says about its tensors.

    Raises:
        ValueError: it is none of the format.
        OSError: it cannot be read.
    """
    header, _ = _header(file)
    return dict(header.get(_ABOUT, {}))


def tensor_names(file: Path) -> list[str]:
    """The names of a file's tensors; errors as of `read_about`."""
    return [name for name in _header(file)[0] if name != _ABOUT]


def read_tensors(file: Path, names: Iterable[str] | None = None) -> dict[str, np.ndarray]:
    """The tensors called `names`, or all, as arrays in memory; errors as of `read_about`.

    Raises:
        KeyError: there is none of such a name.
    """
    header, begin = _header(file)
    found = {}
    with file.open("rb") as whole:
        for name in tensor_names(file) if names is None else names:
            said = header[name]
            kind, shape = np.dtype(_TYPES[said["dtype"]]), tuple(said["shape"])
            start, end = said["data_offsets"]
            whole.seek(begin + start)
            raw = whole.read(end - start)
            if len(raw) != end - start or len(raw) != kind.itemsize * math.prod(shape):
                raise ValueError(f"{name} has {len(raw)} bytes, and {said['dtype']} of shape {shape} has others")
            found[name] = np.frombuffer(bytearray(raw), kind).reshape(shape)
    return found


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """The header, and where what follows it begins."""
    with file.open("rb") as whole:
        length = int.from_bytes(whole.read(_LENGTH), "little")
        if length > file.stat().st_size - _LENGTH:
            raise ValueError("is no file of the safetensors format, or cut short")
        header = json.loads(whole.read(length))
    if not isinstance(header, dict):
        raise ValueError("has a header that is no table")
    return header, _LENGTH + length
