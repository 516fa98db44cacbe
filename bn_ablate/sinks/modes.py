"""Which way results go to W&B: as asked, as `WANDB_MODE` says, or as W&B's settings and the API key allow."""

from __future__ import annotations

import os
from typing import Literal, get_args

from bn_ablate.config.errors import one_of
from bn_ablate.sinks.sink_error import SinkError

Mode = Literal["auto", "online", "offline", "disabled"]

WANDB_MODES: dict[str, Mode] = {
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
"""What `WANDB_MODE` may say, W&B's older words among it."""


def asked_mode(mode: str) -> Mode:
    """`mode`, or in place of `auto` what `WANDB_MODE` says, if anything.

    Raises:
        SinkError: it is no mode.
    """
    if mode not in get_args(Mode):
        raise SinkError(f"W&B mode: {one_of(mode, get_args(Mode))}")
    said = os.environ.get("WANDB_MODE", "")
    if said and mode == "auto":
        if said not in WANDB_MODES:
            raise SinkError(f"WANDB_MODE: {one_of(said, WANDB_MODES)}")
        return WANDB_MODES[said]
    return mode  # type: ignore[return-value]
