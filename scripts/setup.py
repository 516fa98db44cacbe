"""Makes `.venv` what the lock of a device says; does nothing when it is so already.

`make` runs this before anything else, with the standard library alone. What is there is compared with what is wanted
by a stamp that is written last: a set-up which was cut short is done anew, and one whose lock has not changed needs
no network and no time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BUILD_LOCK = ROOT / "requirements" / "build.txt"

# The oldest Python that the lock of each device is for. On GPUs, JAX before 0.11.1 gets a vmapped scan wrong
# (jax #36958), which is how networks are trained there, and Python 3.11 has no later JAX than 0.10.2.
OLDEST_PYTHON = {"cpu": "3.11", "cuda": "3.12", "tpu": "3.11"}

# where pyenv and uv keep Pythons that are not on PATH
ELSEWHERE = (
    Path(os.environ.get("PYENV_ROOT", "~/.pyenv")) / "versions",
    Path(os.environ.get("XDG_DATA_HOME", "~/.local/share")) / "uv" / "python",
)
PROBE = """
import os, platform, sys
assert sys.implementation.name == "cpython" and "t" not in sys.abiflags
print(platform.python_version())
print(sys.executable if sys.prefix == sys.base_prefix else os.path.realpath(sys.executable))
"""


class SetupError(Exception):
    """What stood in the way, in words for the person who ran `make`."""


class UnfitPythonError(SetupError):
    """No Python that is here can be used for the device."""


@dataclass(frozen=True)
class Python:
    """An interpreter: its version in full, and the file, outside of any virtual environment."""

    version: str
    path: str

    @property
    def minor(self) -> str:
        """The version as locks and classifiers have it, such as 3.12."""
        return ".".join(self.version.split(".")[:2])


def lock_file(name: str) -> Path:
    """The lock of a device, or the one called `name`."""
    return ROOT / "requirements" / f"{name}.txt"


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def numbers(version: str) -> tuple[int, ...]:
    """A version in an order: 3.9 comes before 3.12."""
    return tuple(map(int, re.findall(r"\d+", version)))


def tried_pythons() -> list[str]:
    """The Pythons that the classifiers name, newest first."""
    found = (re.search(r":: (3\.\d+)$", line) for line in project()["project"]["classifiers"])
    return sorted((match[1] for match in found if match), key=numbers, reverse=True)


def probe(python: str | Path) -> Python | None:
    """The interpreter behind a command, or None where there is none or another kind, as free-threaded ones are."""
    try:
        done = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return Python(*done.stdout.splitlines())


def find_python(minor: str) -> Python | None:
    """A Python of that version: the one on PATH, or else the newest that pyenv or uv have installed."""
    if found := probe(f"python{minor}"):
        return found
    folders = (path for place in ELSEWHERE for path in place.expanduser().glob(f"*{minor}.*/bin/python{minor}"))
    return max(filter(None, map(probe, folders)), key=lambda python: numbers(python.version), default=None)


def choose_python(device: str, *, alone: bool) -> Python:
    """The Python that runs this where the lock of `device` is for it; else, unless `alone`, the newest that is here.

    Raises:
        UnfitPythonError: There is none.
    """
    base = sys.executable if sys.prefix == sys.base_prefix else str(Path(sys.executable).resolve())
    this = Python(platform.python_version(), base)
    oldest = OLDEST_PYTHON[device]

    def others() -> Iterator[Python | None]:
        yield from (find_python(minor) for minor in tried_pythons() if numbers(minor) >= numbers(oldest))

    if numbers(this.minor) >= numbers(oldest):
        return this
    if not alone and (other := next(filter(None, others()), None)):
        return other
    raise UnfitPythonError(
        f"DEVICE={device} needs Python {oldest} or later (docs/dependencies.md says why), but {this.path} is\n"
        f"Python {this.version}{'' if alone else ', and no later one was found'}. "
        f"Install one, or say where it is:\n\n    make setup DEVICE={device} PYTHON=/path/to/python{oldest}"
    )


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `folder`, made from the lock called `lock` for `python`; with the project, or not."""

    folder: Path
    lock: str
    python: Python
    with_project: bool = True

    @property
    def stamp_file(self) -> Path:
        """What a finished set-up leaves."""
        return self.folder / "setup.json"

    @property
    def executable(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def stamp(self) -> dict[str, str]:
        """Tells this environment from one of another lock, Python or place, or for other needs of the project."""
        declared = project()
        keys = ("name", "requires-python", "dependencies", "optional-dependencies", "scripts")
        needs = {"build": declared["build-system"], "project": {key: declared["project"].get(key) for key in keys}}
        locks = (BUILD_LOCK.read_text(), lock_file(self.lock).read_text())
        digest = hashlib.sha256("\0".join((str(ROOT), json.dumps(needs, sort_keys=True), *locks)).encode())
        return {"device": self.lock, "python": self.python.minor, "digest": digest.hexdigest()}

    def ready(self) -> bool:
        """Whether it is there already, and whole."""
        return read_stamp(self.stamp_file) == self.stamp() and os.access(self.executable, os.X_OK)

    def make(self) -> None:
        """Build it from nothing, unless it is there: the lock, then the project itself, editable.

        Nothing is fetched that the locks do not pin by hash: packages that come as source are built by the setuptools
        of `requirements/build.txt`.

        Raises:
            SetupError: There is no way to make an environment, or a step of it failed.
        """
        if self.ready():
            return
        start = time.monotonic()
        python, name = self.python, self.folder.relative_to(ROOT)
        if self.folder.is_symlink():
            raise SetupError(
                f"{name} is a link to {self.folder.readlink()} and out of date: remove it with `rm {name}`."
            )
        create: tuple[Path | str, ...]
        pip: tuple[Path | str, ...]
        if uv := shutil.which("uv"):
            create, pip, quiet = (uv, "venv", "-q", "--python", python.path), (uv, "pip"), "-q"
        elif not subprocess.run([python.path, "-c", "import ensurepip"], check=False, capture_output=True).returncode:
            create, pip, quiet = (python.path, "-m", "venv"), (self.executable, "-m", "pip"), "-qq"
        else:
            raise SetupError(
                f"{python.path} lacks `venv`: install python3-venv (its name on Debian and Ubuntu), or uv."
            )
        print(f"Setting up {name}: {self.lock}, Python {python.version}, {'uv' if uv else 'pip'} ...", flush=True)

        self.stamp_file.unlink(missing_ok=True)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self._call(*create, self.folder)
        options = ("--no-deps", "--no-build-isolation", *(() if sys.stdout.isatty() else (quiet,)))
        self._call(*pip, "install", *options, "--require-hashes", "-r", BUILD_LOCK)
        self._call(*pip, "install", *options, "--require-hashes", "-r", lock_file(self.lock))
        if self.with_project:
            self._call(*pip, "install", *options, "-e", ROOT)
        self._call(*pip, "check")
        self.stamp_file.write_text(json.dumps(self.stamp()))
        print(f"Set up in {time.monotonic() - start:.0f} s.", flush=True)

    def _call(self, *command: Path | str) -> None:
        # for uv: the environment that it works on, and to compile what it installs, as pip does
        variables = {**os.environ, "VIRTUAL_ENV": str(self.folder), "UV_COMPILE_BYTECODE": "1"}
        code = subprocess.run(command, check=False, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL).returncode
        if code:
            raise SetupError(f"`{' '.join(map(str, command))}` ended with exit status {code}.")


def read_stamp(file: Path) -> dict[str, str]:
    """What the last finished set-up left; empty when there was none."""
    try:
        stamp: dict[str, str] = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def main(argv: list[str] | None = None) -> int:
    """Set up, if need be; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make .venv what the lock says.")
    parser.add_argument("--device", choices=OLDEST_PYTHON, help="as in the present .venv when left out; cpu at first")
    parser.add_argument("--this-python", action="store_true", help="use the Python that runs this or none")
    arguments = parser.parse_args(argv)

    folder = ROOT / ".venv"
    device = arguments.device or read_stamp(folder / "setup.json").get("device", "cpu")
    try:
        Environment(folder, device, choose_python(device, alone=arguments.this_python)).make()
    except UnfitPythonError as error:
        print(f"make setup: {error}", file=sys.stderr)
        return 2
    except (SetupError, OSError) as error:
        print(f"make setup: {error}\nThe next `make` begins the set-up anew.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
