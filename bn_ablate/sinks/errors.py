"""What can go wrong on the way to Weights & Biases, said for people."""

from __future__ import annotations

import re
from pathlib import Path


class SinkError(Exception):
    """W&B cannot be used as asked; the message says why and what to do. The results on disk are not touched by it."""


def reason_of(error: object) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return " ".join(str(error).split()) or f"wandb failed with {type(error).__name__}"


def failure(reason: object, results: Path) -> SinkError:
    """The error for runs that could not be sent for `reason`."""
    said = reason_of(reason)
    refused = re.search(r"\b40[13]\b|unauthorized|permission", said, re.IGNORECASE)
    hint = " The API key may be wrong, or may not write there: `wandb login --relogin` sets another." if refused else ""
    return SinkError(
        f"Weights & Biases: not everything was sent: {said.rstrip('.')}.{hint}"
        f" Nothing is lost: the results are in {results}, and `bn-ablate sync {results}` sends the rest."
    )
