"""The manifest of a results folder: its shape, and how it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bn_ablate.results.files import ResultsError

MANIFEST, MANIFEST_FORMAT = "manifest.json", 1


class _Part(BaseModel):
    """Part of a manifest: what it says besides is let be, and what it leaves out is absent."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class Data(_Part):
    """The data set."""

    name: str = ""
    version: str = ""
    sha256: str = ""
    sizes: dict[str, int] = {}


class Device(_Part):
    """What trained."""

    platform: str = ""
    kind: str = ""
    count: int = 1


class Layout(_Part):
    """How the plan is cut into shards: the fields of `plan.memory.Machine`, and in how many parts first."""

    strategy: Literal["vmap", "map"]
    devices: int
    budget: int
    at_once: int
    platform: str
    parts: int = 1


class Portion(_Part):
    """Which part of its study it is: the fields of `plan.Part`."""

    number: int
    of: int


class Lanes(_Part):
    """How many lanes there are."""

    planned: int
    finished: int
    diverged: int


class Looks(_Part):
    """Looks at a study until it is decided: the seeds of those planned, the last taken, cells by number of seeds."""

    planned: list[int]
    look: int
    cells: dict[str, int]


class Origin(_Part):
    """Lanes of one provenance; what is unknown is null."""

    lanes: int
    kept: bool
    code: str | None
    jax: str | None
    jaxlib: str | None
    flax: str | None
    optax: str | None
    numpy: str | None
    options: str | None
    data: str | None
    device: str | None
    strategy: str | None
    at_once: int | None
    git: list[dict[str, Any] | None]
    seeds: list[int] = []


class Manifest(_Part):
    """What a manifest may say."""

    format: int = MANIFEST_FORMAT
    written_by: str = ""
    study: str = ""
    status: str = ""
    config: dict[str, Any] = {}
    config_sha256: str = ""
    plan: dict[str, Any] = {}
    layout: Layout | None = None
    part: Portion | None = None
    part_of: str = ""
    seeds: list[int] = []
    looks: Looks | None = None
    lanes: Lanes | None = None
    data: Data = Data()
    device: Device = Device()
    origins: list[Origin] = []
    git: dict[str, Any] = {}
    lock: dict[str, str] | None = None
    packages: dict[str, str] = {}
    python: str = ""
    system: str = ""
    strategy: str = ""
    at_once: int = 1
    programs: int = 0
    timing: dict[str, float] = {}
    peak_memory_bytes: int = 0
    notes: list[str] = []
    created: str = ""
    finished: str = ""
    files: dict[str, str] = {}


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the results folder `path`.

    Raises:
        ResultsError: there is none, it cannot be read, or it is of another format.
    """
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultsError(f"{path}: is not a results folder: it has no {MANIFEST}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file}: cannot be read: {error}") from None
    if not isinstance(manifest, dict):
        raise ResultsError(f"{file}: is not a manifest")
    if (found := manifest.get("format", MANIFEST_FORMAT)) != MANIFEST_FORMAT:
        raise ResultsError(
            f"{file}: has format {found!r}, written by {written_by(manifest)}, and this version reads "
            f"{MANIFEST_FORMAT}; read it with the version that wrote it"
        )
    try:
        Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors()[0]
        where, why = ".".join(map(str, first["loc"])), first["msg"]
        raise ResultsError(
            f"{file}: is not a manifest as this version reads it: {where}: {why}; written by {written_by(manifest)}"
        ) from None
    return manifest


def written_by(manifest: dict[str, Any]) -> str:
    """The version that wrote a manifest and what lies beside it, as far as it says."""
    packages = manifest.get("packages")
    older = packages.get("bn_ablate") if isinstance(packages, dict) else None
    return str(manifest.get("written_by") or (f"bn_ablate {older}" if older else "a version that it does not name"))
