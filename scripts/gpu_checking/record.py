"""What was measured, on disk after every measurement. Needs the standard library only."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class Record:
    """Values by section and key; the file is whole at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def put(self, section: str, key: str, value: Any) -> None:
        """Keep `value`, and write the file anew."""
        with self._lock:
            self.held.setdefault(section, {})[key] = value
            beside = self.path.with_suffix(".part")
            beside.write_text(json.dumps(self.held, indent=1) + "\n")
            beside.replace(self.path)
