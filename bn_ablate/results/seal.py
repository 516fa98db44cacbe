"""The seal of a results folder: the SHA-256 of every file, in the manifest, and the check that holds them to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bn_ablate.results.files import TEMPORARY, ResultsError, is_litter, sha256_of, write_text
from bn_ablate.results.manifest import MANIFEST, read_manifest

UNSEALED = (MANIFEST, "wandb", "checkpoints", "lock")
"""What the seal leaves out, by the first part of the path: itself, W&B's folder, and what exists while running."""


LINKED = "is a symbolic link, and nothing within a results folder may be one; put what it leads to in its place"


def seal(path: Path) -> None:
    """Write the SHA-256 of every file of the results folder `path` into its manifest.

    Tables keep the SHA-256 that they were published with: one that was damaged since must not pass for whole because
    the report beside it was written again.
    """
    manifest = read_manifest(path)
    tables = {name: sha256 for name, sha256 in manifest.get("files", {}).items() if name.endswith(".parquet")}
    manifest["files"] = {name: sha256_of(path / name) for name in _files(path) if name not in tables} | tables
    write_text(path / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def damage(path: Path) -> list[str]:
    """A sentence for each file of the results folder `path` that is missing, changed, a link or not in the manifest.

    Raises:
        ResultsError: there is no readable manifest.
    """
    listed: dict[str, str] = read_manifest(path).get("files", {})
    present, linked = set(_files(path)), set(links(path))
    problems = [f"{name}: {LINKED}" for name in sorted(linked)]
    problems += [f"{name}: is missing" for name in sorted(listed.keys() - present - linked)]
    problems += [f"{name}: is not listed in the manifest" for name in sorted(present - listed.keys())]
    for name in sorted(listed.keys() & present):
        if sha256_of(path / name) != listed[name]:
            problems.append(f"{name}: its content has changed since it was written")
    return problems


def _files(path: Path) -> list[str]:
    """Every sealed file below `path`, as POSIX paths relative to it."""
    names = (entry for entry in _entries(path) if (path / entry).is_file() and not (path / entry).is_symlink())
    return sorted(n.as_posix() for n in names if n.parts[0] not in UNSEALED and not _passing(n))


def _passing(name: Path) -> bool:
    """Whether a file is not whole yet, or is no one's."""
    return is_litter(name) or any(part.startswith(TEMPORARY) for part in name.parts)


def links(path: Path) -> list[str]:
    """Every symbolic link below the results folder `path`, except within W&B's folder, which has its own."""
    return sorted(entry.as_posix() for entry in _entries(path) if (path / entry).is_symlink())


def _entries(path: Path) -> Iterator[Path]:
    """All files and folders below `path`, relative to it; W&B's folder, with its many files, is not gone into."""
    for folder, folders, files in os.walk(path):
        here = Path(folder).relative_to(path)
        yield from (here / name for name in (*folders, *files))
        if here == Path() and "wandb" in folders:
            folders.remove("wandb")


def refuse_links(path: Path) -> None:
    """Do not read or write through what leads out of the results folder `path`, which itself may be a link.

    Raises:
        ResultsError: there is a link in it.
    """
    for name in links(path):
        raise ResultsError(f"{path / name}: {LINKED}")


def refuse_inside(output: Path) -> None:
    """Do not write `output` into a results folder: its files are sealed, and what is added there breaks the seal.

    Raises:
        ResultsError: it is one, or lies in one.
    """
    whole = output.resolve()
    for folder in (whole, *whole.parents):
        if (folder / MANIFEST).is_file() and ((folder / "shards").is_dir() or (folder / "lanes.parquet").is_file()):
            raise ResultsError(
                f"{output}: lies in {folder}, a results folder, whose files are sealed; choose a place outside, as "
                f"{folder.parent / 'other'}"
            )
