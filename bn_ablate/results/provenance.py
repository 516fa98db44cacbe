"""Where results come from: code, packages, machine."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "bn_ablate",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "statsmodels",
    "tensorflow-datasets",
    "wandb",
    "polars",
)


def provenance() -> dict[str, Any]:
    """Git state of the code, the lock of its packages, the versions of those that numbers depend on, and the system."""
    return {
        "git": git_state(Path(__file__).parent),
        "lock": lock(Path(__file__).parents[2]),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def git_state(folder: Path) -> dict[str, Any]:
    """`sha` and `dirty` of the git checkout that holds `folder`; both None where there is none."""
    try:
        sha = _git(folder, "rev-parse", "HEAD")
        return {"sha": sha, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {"sha": None, "dirty": None}


def lock(root: Path, environment: Path = Path(sys.prefix)) -> dict[str, str] | None:
    """`file` and `sha256` of the lock that `make setup` made the Python `environment` from; None where it was not it.

    `root` is the checkout; the set-up leaves a note in the environment of the device whose lock it took.
    """
    try:
        device = json.loads((environment / "setup.json").read_text(encoding="utf-8"))["device"]
        file = root / "requirements" / f"{device}.txt"
        return {"file": file.relative_to(root).as_posix(), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def sha256_text(text: str) -> str:
    """The SHA-256 of `text` as UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
