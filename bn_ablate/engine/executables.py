"""Compiled programs on disk: what one process has compiled, the next one loads, without tracing it.

They are kept in a folder of the user's own, never with results. A file holds what it was compiled from and for, in its
header, and is used only where all of that is so now; else the program is compiled anew. To load one runs what it holds
(it is a pickle, and machine code): so the folder must be the user's, and closed to all others.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import platform
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jax.stages import Compiled

from bn_ablate.config.sources import source_hash

FORMAT = 1

MOST_BYTES = 512 * 2**20
"""What all files together may take; beyond it those go that were not loaded for the longest time."""

ENVIRONMENT = ("XLA_FLAGS", "LIBTPU_INIT_ARGS")
"""What tells a compiler how to compile."""

_folders: list[Path] = []


def keep_in(folder: Path | None) -> None:
    """Keep compiled programs in `folder` from now on, or nowhere."""
    _folders[:] = [folder] if folder else []


@dataclass(frozen=True)
class Executable:
    """A compiled program on disk, which may be there or not.

    Attributes:
        key: what the program computes, from what shapes, and on which devices.
        devices: these.
    """

    key: str
    devices: tuple[jax.Device, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is a file, of whatever content."""
        return (path := self._path) is not None and path.exists()

    def load(self) -> Compiled | None:
        """What an earlier process compiled from these sources on this machine; None where there is none.

        A file that is damaged, of another machine, or not the user's own is as none, and is removed.
        """
        path = self._path
        if path is None:
            return None
        try:
            header, _, payload = _own(path).partition(b"\n")
            if json.loads(header) != self._said | {"sha256": hashlib.sha256(payload).hexdigest()}:
                raise ValueError("of something else, or damaged")
            executable, given, made = pickle.loads(payload)
            on = {"backend": self.devices[0].client, "execution_devices": self.devices}
            loaded: Compiled = deserialize_and_load(executable, given, made, **on)
        except Exception:  # whatever is wrong with it, it can be compiled
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return loaded

    def save(self, compiled: Compiled) -> None:
        """Keep it for `load`; where that cannot be done, it is compiled again next time."""
        path = self._path
        if path is None:
            return
        with suppress(Exception):
            payload = pickle.dumps(serialize(compiled))
            header = json.dumps(self._said | {"sha256": hashlib.sha256(payload).hexdigest()}).encode()
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:  # of mode 0600
                file.write(header + b"\n" + payload)
            Path(file.name).replace(path)
            _prune(path.parent)

    @property
    def _said(self) -> dict[str, Any]:
        return {"format": FORMAT, "program": self.key, **_here(self.devices[0])}

    @property
    def _path(self) -> Path | None:
        """Where its file is; None where there is no folder that is the user's alone."""
        if not _folders or not hasattr(os, "getuid"):
            return None
        (folder,) = _folders
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            state = folder.lstat()
        except OSError:
            return None
        closed = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not stat.S_IMODE(state.st_mode) & 0o077
        name = hashlib.sha256(json.dumps(self._said, sort_keys=True).encode()).hexdigest()
        return folder / f"{name[:32]}.program" if closed else None


@cache
def _here(device: jax.Device) -> dict[str, Any]:
    """What a program is compiled from and for, besides itself."""
    return {
        "code": source_hash(),
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
        "python": platform.python_version(),
        "device": [device.platform, device.device_kind, " ".join(device.client.platform_version.split())],
        "devices": device.client.device_count(),
        "host": host(),
        "environment": {name: os.environ.get(name, "") for name in ENVIRONMENT},
    }


@cache
def host() -> str:
    """A hash of what the processor can do: code that was compiled for one may end another's process."""
    said = [platform.machine(), platform.processor()]
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = ("flags", "Features", "model name", "CPU part")
        said += sorted({line for line in lines if line.partition(":")[0].strip() in named})
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _own(path: Path) -> bytes:
    """The content of a file that is the user's own.

    Raises:
        OSError, ValueError: it is not, or cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
            raise ValueError("not the user's own")
        return file.read()


def _prune(folder: Path) -> None:
    """Remove the files that were not used for the longest time, until the others fit."""
    files = sorted(((file.stat().st_mtime, file.stat().st_size, file) for file in folder.iterdir()), reverse=True)
    taken = 0
    for _, size, file in files:
        taken += size
        if taken > MOST_BYTES:
            file.unlink(missing_ok=True)
