"""What can go wrong on the way to Weights & Biases, said for people; and the one door to wandb, which sees to that."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from bn_ablate.config.errors import BnAblateError


class SinkError(BnAblateError):
    """W&B cannot be used as asked; the message says why and what to do. The results on disk are not touched by it.

    Attributes:
        reason: what went wrong, without what to do about it.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


def reason_of(error: object) -> str:
    """What an error says, on one line and without the values that it was given; its type where it says nothing."""
    if isinstance(error, ValidationError):
        faults = error.errors(include_input=False)
        return "; ".join(dict.fromkeys(fault["msg"].removeprefix("Value error, ") for fault in faults))
    said = " ".join(str(error).split())
    if not isinstance(error, Exception):
        return said
    return said or f"wandb failed with {type(error).__name__}"


def unusable(reason: object, what: str = "wandb cannot be used") -> SinkError:
    """The error where nothing has been sent yet, for `reason`; `what` is what could not be done."""
    said = reason_of(reason).rstrip(".")
    return SinkError(f"Weights & Biases: {what}: {said}.{'' if 'WANDB_' in said else _variables()}", said)


def failure(reason: object, results: Path) -> SinkError:
    """The error for runs that could not be sent for `reason`; `results` is the study's folder."""
    said = reason_of(reason).rstrip(".")
    refused = re.search(r"\b40[13]\b|unauthorized|permission", said, re.IGNORECASE)
    hint = " The API key may be wrong, or may not write there: `wandb login --relogin` sets another." if refused else ""
    return SinkError(
        f"Weights & Biases: not everything was sent: {said}.{hint or _variables()}"
        f" Nothing is lost: the results are in {results}, and {sync_command(results)} sends the rest.",
        f"{said}.{hint}",
    )


def sync_command(results: Path) -> str:
    """The command that sends the study in the folder `results`, to be pasted."""
    return f"`bn-ablate sync {shlex.quote(str(results))}`"


@contextmanager
def calling_wandb(into: Callable[[Exception], SinkError] = unusable) -> Iterator[None]:
    """The one door to wandb: whatever it raises in the block becomes a `SinkError`, the one that `into` makes of it."""
    try:
        yield
    except SinkError:
        raise
    except Exception as error:
        raise into(error) from error


def _variables() -> str:
    """Which variables of the environment set W&B up: where an error names none, one of them may be at fault."""
    names = sorted(name for name in os.environ if name.startswith("WANDB_") and name not in _OWN)
    return f" Variables that are set: {', '.join(names)}." if names else ""


_OWN = ("WANDB_ERROR_REPORTING", "WANDB_DATA_DIR", "WANDB_SERVICE")
"""Those that `setup` and `session`, and wandb itself, set for a while."""
