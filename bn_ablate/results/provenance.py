"""Where results come from: what the numbers of a shard depend on, and the machine and the commit they were made at."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bn_ablate.config.sources import ROOT, source_hash

if TYPE_CHECKING:
    from bn_ablate.engine import Engine

PACKAGES = (
    "bn_ablate",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "tensorflow-datasets",
    "wandb",
    "polars",
)

OPTIONS = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
}
"""JAX's options that change its numbers, with their defaults."""


class Bearing(Enum):
    """What it means for two lanes that a field of their provenance differs."""

    DATA = "they are never mixed"
    CODE = "they are mixed only where the user says so"
    ROUNDING = "they agree as far as float32 lets training agree, and are mixed, which is recorded"


def _bearing(bearing: Bearing, words: str) -> Any:
    return field(metadata={"bearing": bearing, "words": words})


@dataclass(frozen=True)
class Provenance:
    """What the numbers of a shard depend on, besides its settings and seeds.

    Attributes:
        code: the SHA-256 of the sources that make numbers.
        options: those of JAX's `OPTIONS` that are not at their defaults.
        data: the SHA-256 of the data set's images and labels.
        device: platform and kind.
        strategy, at_once: as in `engine.Way`.
    """

    code: str = _bearing(Bearing.CODE, "sources")
    jax: str = _bearing(Bearing.CODE, "jax")
    jaxlib: str = _bearing(Bearing.CODE, "jaxlib")
    flax: str = _bearing(Bearing.CODE, "flax")
    optax: str = _bearing(Bearing.CODE, "optax")
    numpy: str = _bearing(Bearing.CODE, "numpy")
    options: str = _bearing(Bearing.CODE, "options of JAX")
    data: str = _bearing(Bearing.DATA, "data")
    device: str = _bearing(Bearing.ROUNDING, "device")
    strategy: str = _bearing(Bearing.ROUNDING, "strategy")
    at_once: int = _bearing(Bearing.ROUNDING, "lanes at once")

    def differences(self, other: Provenance, *bearings: Bearing, now: str = "now") -> list[str]:
        """What differs in `other` among the fields of `bearings` (all when none is given): `jax 0.10.1, now 0.10.2`."""
        return [
            f"{each.metadata['words']} {short(getattr(self, each.name))}, {now} {short(getattr(other, each.name))}"
            for each in dataclasses.fields(self)
            if each.metadata["bearing"] in (bearings or tuple(Bearing))
            and getattr(self, each.name) != getattr(other, each.name)
        ]

    @property
    def key(self) -> str:
        """A hash of all of it."""
        return sha256_text(json.dumps(dataclasses.asdict(self), sort_keys=True))


def provenance_of(engine: Engine) -> Provenance:
    """The provenance of what `engine` is about to train."""
    import jax

    assert engine.devices is not None
    device = engine.devices[0]
    options = {name: getattr(jax.config, name) for name in OPTIONS}
    return Provenance(
        code=source_hash(),
        **{name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")},
        options=", ".join(f"{name}={value}" for name, value in options.items() if value != OPTIONS[name]),
        data=engine.dataset.sha256,
        device=" ".join(dict.fromkeys((device.platform, device.device_kind))),
        strategy=engine.way.strategy,
        at_once=engine.way.at_once,
    )


def environment() -> dict[str, Any]:
    """Git state of the code, the lock of its packages, the versions of those that numbers depend on, and the system."""
    return {
        "git": git_state(ROOT),
        "lock": lock(ROOT.parent),
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


def short(value: Any) -> str:
    """A value of a provenance, a hash as its first digits."""
    text = str(value)
    return text[:12] if len(text) == hashlib.sha256().digest_size * 2 else text or "none"


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
