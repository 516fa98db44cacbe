"""What has been sent already, so that a second sync sends only what is new or has changed."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from bn_ablate.results.files import write_text

SAVE_EVERY = 2.0
"""Seconds between two writes of the record while runs are being sent, at least."""

SAVING = 0.05
"""The share of the time that writing it may take, which grows with the runs that are on record."""


class SentRecord:
    """`<results>/wandb/sent.json`: destination -> run id -> the hash of what was sent, and where it lies when offline.

    It only saves work: without it everything is sent again, to the same runs. A damaged record counts as none.
    """

    def __init__(self, path: Path, destination: str) -> None:
        self._path = path
        self._all = _read(path)
        self._sent: dict[str, dict[str, str]] = self._all.setdefault(destination, {})
        self._save_from = time.monotonic() + SAVE_EVERY

    def holds(self, run_id: str, sha256: str) -> bool:
        """Whether the run was sent with just this content."""
        return self._sent.get(run_id, {}).get("sha256") == sha256

    def folder(self, run_id: str) -> str:
        """The name of the run's offline folder; empty when there is none on record."""
        return self._sent.get(run_id, {}).get("folder", "")

    def add(self, run_id: str, sha256: str, folder: str = "") -> None:
        """Record a run as sent; what is recorded reaches the disk every few seconds, and with `save`."""
        self._sent[run_id] = {"sha256": sha256} | ({"folder": folder} if folder else {})
        if time.monotonic() > self._save_from:
            self.save()

    def save(self) -> None:
        """Write the record, if the folder lets it."""
        begun = time.monotonic()
        with suppress(OSError):
            write_text(self._path, json.dumps(self._all, indent=1, sort_keys=True) + "\n")
        ended = time.monotonic()
        self._save_from = ended + max(SAVE_EVERY, (ended - begun) / SAVING)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    well_formed = isinstance(record, dict) and all(
        isinstance(runs, dict) and all(isinstance(run, dict) for run in runs.values()) for runs in record.values()
    )
    return record if well_formed else {}
