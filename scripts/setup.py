"""Makes `.venv` what the lock of a device says; does nothing when it is so already.

`make` runs this before anything else, with the standard library alone. What is there is told from what is wanted by a
stamp that is written last, so that a set-up which was cut short is done anew, and one whose lock has not changed needs
no network and no time.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "setup.json"
BUILD_LOCK = ROOT / "requirements" / "build.txt"
DEVICES = ("cpu", "cuda", "tpu")


class SetupError(Exception):
    """What stood in the way, in words for the person who ran `make`."""


def lock_of(device: str) -> Path:
    """The lock file of a device."""
    return ROOT / "requirements" / f"{device}.txt"


def digest(device: str) -> str:
    """SHA-256 of all that decides what lies in `.venv`: the locks, the project's own needs, and where it stands."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    keys = ("name", "requires-python", "dependencies", "optional-dependencies", "scripts")
    needs = {"build": pyproject["build-system"], "project": {key: pyproject["project"].get(key) for key in keys}}
    parts = (str(ROOT), json.dumps(needs, sort_keys=True), BUILD_LOCK.read_text(), lock_of(device).read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read_stamp() -> dict[str, str]:
    """What the last finished set-up left; empty when there was none."""
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def base_python() -> str:
    """The interpreter that runs this, or the one behind it where this is `.venv` itself, which is about to go."""
    return sys.executable if sys.prefix == sys.base_prefix else str(Path(sys.executable).resolve())


def call(*command: Path | str) -> None:
    """Run a command of the set-up, with `.venv` as the environment that uv works on.

    Raises:
        SetupError: It failed; what it said is on the terminal.
    """
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV)}
    code = subprocess.run(command, check=False, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL).returncode
    if code:
        raise SetupError(f"`{' '.join(map(str, command))}` ended with exit status {code}")


def install(device: str) -> None:
    """Build `.venv` from nothing: the lock of `device`, then the project itself, editable.

    Nothing is fetched that the locks do not pin by hash: packages that come as source are built by the setuptools of
    `requirements/build.txt`.

    Raises:
        SetupError: There is no way to make an environment, or a step of it failed.
    """
    python = base_python()
    create: tuple[Path | str, ...]
    pip: tuple[Path | str, ...]
    if uv := shutil.which("uv"):
        create, pip, quiet = (uv, "venv", "-q", "--python", python), (uv, "pip"), "-q"
    elif importlib.util.find_spec("ensurepip"):
        create, pip, quiet = (python, "-m", "venv"), (VENV_PYTHON, "-m", "pip"), "-qq"
    else:
        raise SetupError(f"{python} lacks `venv`: install python3-venv (its name on Debian and Ubuntu), or uv")
    print(f"Setting up .venv: {device}, Python {platform.python_version()}, {'uv' if uv else 'pip'} ...", flush=True)

    STAMP.unlink(missing_ok=True)
    if VENV.exists():
        shutil.rmtree(VENV)
    call(*create, VENV)
    options = ("--no-deps", "--no-build-isolation", *(() if sys.stdout.isatty() else (quiet,)))
    call(*pip, "install", *options, "--require-hashes", "-r", BUILD_LOCK)
    call(*pip, "install", *options, "--require-hashes", "-r", lock_of(device))
    call(*pip, "install", *options, "-e", ROOT)
    call(*pip, "check")


def main() -> int:
    """Set up, if need be; returns the exit status."""
    parser = argparse.ArgumentParser(description="Make .venv what the lock says.")
    parser.add_argument("--device", choices=DEVICES, help="as in the present .venv when left out, and cpu at first")
    arguments = parser.parse_args()

    stamp = read_stamp()
    device = arguments.device or stamp.get("device", DEVICES[0])
    wanted = {"device": device, "python": ".".join(platform.python_version_tuple()[:2]), "digest": digest(device)}
    if stamp == wanted and os.access(VENV_PYTHON, os.X_OK):
        return 0
    start = time.monotonic()
    try:
        install(device)
    except SetupError as error:
        print(f"make setup: {error}.\nThe next `make` begins the set-up anew.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    STAMP.write_text(json.dumps(wanted))
    print(f"Set up in {time.monotonic() - start:.0f} s.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
