"""The process of a section: `python -m gpu_checking.section MODULE OPTIONS`, JSON lines out."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO


class Section:
    """What a section is given: its limits, and where to report.

    Attributes:
        tiny: small sizes.
        platform: JAX's.
        networks: those that a section is about, where it is about some.
        torch_python: an interpreter that has PyTorch.
        folder: for files, gone with the process.
        output: for files that stay.
        images: arrays of real images, where they were given.
        overrides: of a study, as `--set` takes them.
    """

    def __init__(
        self,
        folder: Path,
        answers: TextIO,
        seconds: float,
        tiny: bool,
        platform: str,
        torch_python: str,
        networks: Sequence[str] = (),
        output: str = "",
        images: str = "",
        overrides: Sequence[str] = (),
    ):
        self.folder = folder
        self.networks = tuple(networks)
        self.output = output
        self.images = images
        self.overrides = tuple(overrides)
        self.tiny = tiny
        self.platform = platform
        self.torch_python = Path(torch_python)
        self._answers = answers
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    def report(self, key: str, value: Any) -> None:
        """Put `value` on record, at once."""
        self._answers.write(json.dumps({"key": key, "value": value}) + "\n")
        self._answers.flush()

    def attempt(self, key: str, function: Callable[[], Any], needs: float = 3.0) -> None:
        """Put on record what `function` gives, its error, or that there was no time for it."""
        if self.left() < needs:
            self.report(key, {"skipped": f"{max(self.left(), 0):.0f} s were left, about {needs:.0f} are needed"})
            return
        try:
            value = function()
        except Exception as error:
            value = {"error": _last_line(error), "traceback": traceback.format_exc(limit=-8)[-3000:]}
        self.report(key, value)


def set_up_jax(platform: str, cache: Path) -> None:
    """Prepare JAX as a run does, with the CPU beside the accelerator; compiled programs are kept in `cache`."""
    import jax

    from bn_ablate.engine import set_up

    set_up("cpu" if platform == "cpu" else "auto", cache=cache)
    found = jax.devices()[0].platform
    wanted = {"cuda": "gpu"}.get(platform, platform)
    if found != wanted:
        raise RuntimeError(f"JAX finds {found!r}, not {wanted!r}")


def _last_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:600]


def main() -> None:
    """Run one section."""
    module, options = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else writes to standard output
    with tempfile.TemporaryDirectory() as folder:
        section = Section(Path(folder), answers, **json.loads(options))
        try:
            import_module(f"gpu_checking.{module}").run(section)
        except Exception as error:
            traceback.print_exc()
            section.report("error", {"error": _last_line(error), "traceback": traceback.format_exc()[-3000:]})


if __name__ == "__main__":
    main()
