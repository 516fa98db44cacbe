"""What went wrong, as the command line says it: a sentence and an exit status, or neither for a defect."""

from __future__ import annotations

import sys

NAMED = {
    "bn_ablate.data": "DataError",
    "bn_ablate.engine": "DeviceError",
    "bn_ablate.results": "ResultsError",
    "bn_ablate.sinks": "SinkError",
}
"""The errors that are meant for people, by their module, besides `ConfigError`."""

NO_MEMORY = (
    "memory does not suffice; what was finished is stored, and the same command goes on from there: with a smaller "
    "--memory, or what else takes memory on this machine closed"
)


def told(error: Exception) -> tuple[int, str] | None:
    """The exit status and the sentence for `error`: 2 for what the user wrote wrongly, 1 for what the machine lacks.

    None for a defect, whose traceback is wanted.
    """
    from bn_ablate.config import ConfigError
    from bn_ablate.config.errors import printable

    if isinstance(error, ConfigError):
        return 2, str(error)
    # only modules that were imported can have raised; asking sys.modules keeps the others from being imported now
    known = tuple(getattr(sys.modules[module], name) for module, name in NAMED.items() if module in sys.modules)
    if isinstance(error, known):
        return getattr(error, "status", 1), printable(str(error), keep="\n")
    if isinstance(error, OSError) and error.filename is not None:
        return 1, printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, MemoryError) or ("jax" in sys.modules and _device_is_full(error)):
        return 1, NO_MEMORY
    return None


def _device_is_full(error: Exception) -> bool:
    from bn_ablate.engine import out_of_memory

    return out_of_memory(error)
