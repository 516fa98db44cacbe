"""What went wrong, as the command line says it: a sentence and an exit status, or neither for a defect."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bn_ablate.cli.printed_commands import runnable

NO_MEMORY = (
    "memory does not suffice; what was finished is stored, and the same command resumes from there: with a smaller "
    "--memory, or what else takes memory on this machine closed"
)


LEAST = {"POLARS_MAX_THREADS": 1, "SOURCE_DATE_EPOCH": 0}
"""Environment variables that hold a whole number, and the least: what reads another value panics, or reads it late."""
OF_LIBRARIES = ("JAX_", "XLA_", "LIBTPU_", "POLARS_", "MPL", "MATPLOTLIB", "TFDS_")
"""How the names of variables begin that libraries read."""
SHORT = 5
"""A longer value that stands in an error is taken for that of the variable; one up to it, in quotes only."""
UNWRITTEN = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
CUT_SHORT = 141
"""The exit status of a command whose output nobody reads any more, as that of one that SIGPIPE ends."""


def check_environment() -> None:
    """Check the variables of which no library says a word that can be understood.

    Raises:
        ConfigError: one has a value that its library does not take.
    """
    wrong = [name for name, least in LEAST.items() if not _whole(os.environ.get(name) or str(least), least)]
    if wrong:
        from bn_ablate.config import ConfigError, Problem
        from bn_ablate.config.errors import show

        said = "is {}: it must be a whole number, {} or more; unset it, or set it to one"
        raise ConfigError(
            "environment", [Problem(name, said.format(show(os.environ[name]), LEAST[name])) for name in wrong]
        )


def _whole(text: str, least: int) -> bool:
    return text.isascii() and text.strip().isdigit() and int(text) >= least


@contextmanager
def printing() -> Iterator[None]:
    """Within the block what is printed goes out, or an `OSError` says why not; a closed stream takes it all."""
    for stream in (0, 1, 2):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free is this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    try:
        yield
    finally:
        sys.stdout.flush()


def say(sentence: str) -> None:
    """Write `sentence` on standard error, if that can be written to."""
    try:
        sys.stderr.write(runnable(sentence))
        sys.stderr.flush()
    except OSError:
        _give_up(2)


def _give_up(stream: int) -> None:
    """Let a stream that cannot be written to take what it still holds, so that Python can end without a word on it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream)
    os.close(null)
    with suppress(OSError):
        (sys.stdout if stream == 1 else sys.stderr).flush()


def sentence_of(error: Exception) -> tuple[int, str] | None:
    """The exit status and the sentence for `error`: 2 for what the user wrote wrongly, 1 for what the machine lacks.

    None for a defect, whose traceback is wanted.
    """
    from bn_ablate.config.errors import BnAblateError, printable
    from bn_ablate.config.extensions import ExtensionError, fault_in

    if isinstance(error, BnAblateError):
        return error.status, printable(str(error), keep="\n")
    if said := fault_in(error):
        return ExtensionError.status, said
    if isinstance(error, OSError) and error.filename is not None:
        return 1, printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, OSError) and error.errno in UNWRITTEN:
        _give_up(1)
        return (CUT_SHORT, "") if error.errno == errno.EPIPE else (1, f"the output cannot be written: {error.strerror}")
    if isinstance(error, MemoryError) or ("jax" in sys.modules and _device_is_full(error)):
        return 1, NO_MEMORY
    if "FloatingPointError" in type(error).__name__ and (variable := _debugging()):
        return 2, f"{variable} is set, so that a lane that diverges ends the run; unset it, and such a lane is recorded"
    if blamed := _blamed(error):
        said = printable(f"{blamed} is {os.environ[blamed]!r}: {error}", keep="\n")
        return 2, f"the environment variable {said}; unset it, or set it to what its library takes"
    return None


def _debugging() -> str:
    """The variable that makes JAX raise where a number is not finite; nothing where none is set."""
    return next((name for name in ("JAX_DEBUG_NANS", "JAX_DEBUG_INFS") if os.environ.get(name)), "")


def _blamed(error: Exception) -> str | None:
    """The variable that `error` names, by itself or by its value, where a library raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or Path(__file__).parents[1] in Path(frames[-1].filename).parents:
        return None
    text = str(error).casefold()
    for name, value in os.environ.items():
        if value and name.startswith((*OF_LIBRARIES, *LEAST)):
            spellings = [name, f"'{value}'", f'"{value}"', *([value] if len(value) > SHORT else [])]
            if any(word.casefold() in text for word in spellings):
                return name
    return None


def _device_is_full(error: Exception) -> bool:
    from bn_ablate.engine import out_of_memory

    return out_of_memory(error)
