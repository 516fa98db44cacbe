"""Checkpoints: the state of a shard in training, so that a run that was killed loses seconds and not the shard.

A file is a line of JSON (format, key, provenance, SHA-256 of the rest) and then an .npz of plain arrays. Nothing in it
is ever unpickled, and one that is damaged, or of another program, code, version, data or device, is named and not used.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bn_ablate.results.files import ResultsError, whole_file, write_text
from bn_ablate.results.provenance import Provenance

CHECKPOINTS, LAYOUT, SUFFIX = "checkpoints", "shards.json", ".ckpt"
CHECKPOINT_FORMAT = 2

SECONDS_BETWEEN = 30.0
"""The least seconds of training between two checkpoints of a shard: one that is done sooner needs none."""

TIMES_ITS_COST = 40.0
"""And at least that many times as long as the last one took to write: so checkpoints cost 1/40 of the time at most."""


class CheckpointError(ResultsError):
    """A checkpoint that cannot be resumed; the message says which, and why."""


class Checkpoints:
    """The checkpoints of a results folder, and how its work was laid out; gone when the run is complete."""

    def __init__(self, folder: Path, provenance: Provenance, tell: Callable[[str], None]) -> None:
        """`provenance` is that of the training; `tell` is called with what is there but cannot be resumed."""
        self.path = folder / CHECKPOINTS
        self._provenance = provenance
        self._tell = tell

    def of(self, shard: str) -> Checkpoint:
        """The checkpoint of the shard with this id."""
        return Checkpoint(self.path / f"{shard}{SUFFIX}", self._provenance, self._tell)

    def lay_out(self, shards: list[dict[str, Any]]) -> None:
        """Write down which shards are to be trained."""
        write_text(self.path / LAYOUT, json.dumps({"format": CHECKPOINT_FORMAT, "shards": shards}))

    def laid_out(self) -> list[dict[str, Any]]:
        """The shards that an earlier run was to train; none where that is unknown."""
        file = self.path / LAYOUT
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            shards = said["shards"] if said["format"] == CHECKPOINT_FORMAT else []
            return [shard for shard in shards if shard["seeds"] and {"lanes", "room", "seed_room"} <= shard.keys()]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._tell(f"{file}: cannot be read ({error!r}); the lanes that were in training may start anew")
            return []

    def remove(self) -> None:
        """Remove them all: every shard is finished."""
        shutil.rmtree(self.path, ignore_errors=True)


class Checkpoint:
    """The checkpoint of one shard, in one file."""

    def __init__(self, path: Path, provenance: Provenance, tell: Callable[[str], None]) -> None:
        self.path = path
        self._provenance = provenance
        self._tell = tell
        self._pause = SECONDS_BETWEEN
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to write one."""
        return time.monotonic() - self._last >= self._pause

    def save(self, key: str, arrays: dict[str, np.ndarray]) -> None:
        """Write `arrays` in place of what was there, whole or not at all.

        Args:
            key: says which program can resume them.

        Raises:
            ResultsError: it cannot be written.
        """
        begun = time.monotonic()
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        packed = content.getvalue()
        digest = hashlib.sha256(packed).hexdigest()
        said = {"format": CHECKPOINT_FORMAT, "key": key, "provenance": asdict(self._provenance), "sha256": digest}
        with whole_file(self.path) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(said).encode() + b"\n")
            file.write(packed)
        self._last = time.monotonic()
        self._pause = max(SECONDS_BETWEEN, TIMES_ITS_COST * (self._last - begun))

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays that were saved last; None where there are none that are whole and were saved under this key."""
        self._last = time.monotonic()
        if not self.path.exists():
            return None
        try:
            said, packed = read(self.path)
            if said.get("provenance") != asdict(self._provenance):
                raise CheckpointError(f"{self.path}: was written by other code or elsewhere{self._how(said)}")
            if said.get("key") != key:
                raise CheckpointError(f"{self.path}: was written for another program")
        except CheckpointError as error:
            self._tell(f"{error}; its lanes were trained from the start")
            return None
        with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def _how(self, said: dict[str, Any]) -> str:
        """How the provenance in the file differs, where it is one."""
        try:
            return f" ({', '.join(Provenance(**said['provenance']).differences(self._provenance))})"
        except (KeyError, TypeError):
            return ""

    def remove(self) -> None:
        """Remove the file: its shard is finished."""
        self.path.unlink(missing_ok=True)


def read(file: Path) -> tuple[dict[str, Any], bytes]:
    """What the first line of a checkpoint says, and the rest, which is as it was written.

    Raises:
        CheckpointError: it is damaged, or of another version.
    """
    try:
        line, _, packed = file.read_bytes().partition(b"\n")
        said = dict(json.loads(line))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot be read ({error})") from None
    if said.get("format") != CHECKPOINT_FORMAT:
        raise CheckpointError(f"{file}: has format {said.get('format')!r}, and this version reads {CHECKPOINT_FORMAT}")
    if hashlib.sha256(packed).hexdigest() != said.get("sha256"):
        raise CheckpointError(f"{file}: its content has changed since it was written")
    return said, packed


def damaged(folder: Path) -> list[str]:
    """A sentence for each checkpoint below the results folder `folder` that cannot be read."""
    problems = []
    for file in sorted((folder / CHECKPOINTS).glob(f"*{SUFFIX}")):
        try:
            read(file)
        except CheckpointError as error:
            problems.append(f"{str(error).removeprefix(f'{folder}/')}; the next run starts its lanes anew")
    return problems
