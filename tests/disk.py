"""A disk that a test can fill."""

from __future__ import annotations

import errno
import io
import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """A small disk: a tmpfs of 512 KiB, or a folder in which no file can be written to once it is full."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch | None) -> None:
        self.path = path
        self._patch = patch
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no space."""
        if self._patch is None:
            with pytest.raises(OSError, match="No space left"), self._filler.open("wb", buffering=0) as file:
                file.writelines(itertools.repeat(bytes(4096)))
            return
        opened = io.open

        def refusing(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if set(mode) & set("wax+") and isinstance(file, str | Path) and Path(file).is_relative_to(self.path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
            return opened(file, mode, *args, **kwargs)

        self._patch.setattr(io, "open", refusing)

    def free(self) -> None:
        """Make space again."""
        if self._patch is None:
            self._filler.unlink()
        else:
            self._patch.undo()


def mounted(path: Path) -> bool:
    """Whether a tmpfs could be mounted at `path`, which takes root."""
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(path)]
    return bool(shutil.which("mount")) and not subprocess.run(command, capture_output=True, check=False).returncode


def kinds_of_disk() -> list[str]:
    """A real small disk too, where there can be one."""
    with tempfile.TemporaryDirectory() as place:
        if not mounted(Path(place)):
            return ["refusing"]
        subprocess.run(["umount", place], check=True)
    return ["refusing", "tmpfs"]
