"""How wandb is set up here: as its user has chosen, silent, without a prompt, and never longer than its timeouts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bn_ablate.sinks.errors import SinkError
from bn_ablate.sinks.modes import Mode

if TYPE_CHECKING:
    import wandb

INIT_TIMEOUT = 30.0
FINISH_TIMEOUT = 120.0
"""Seconds that opening a run, and sending the last of its data, may take."""


def configured_mode() -> Mode:
    """The mode that W&B's settings files ask for (`wandb offline` writes it there); `auto` where they leave it open."""
    mode = own_settings().mode
    return mode if mode == "offline" or mode == "disabled" else "auto"


def own_project() -> str | None:
    """The project that the environment or W&B's settings files name, if any."""
    return own_settings().project


def has_key() -> bool:
    """Whether there is an API key for the W&B server in use: environment, netrc or settings. It never asks for one.

    `wandb.login` will not do: it answers no while the caller has a run open.

    Raises:
        SinkError: there is one, but it is malformed.
    """
    import wandb
    from wandb.sdk.lib.wbauth import authenticate_session

    host = own_settings().base_url
    try:
        return authenticate_session(host=host, source="bn-ablate", prompt=False, update_session=False) is not None
    except wandb.Error as error:
        raise SinkError(f"Weights & Biases: the API key cannot be used: {error}") from error


@contextmanager
def quiet_wandb() -> Iterator[list[str]]:
    """Keep wandb from printing, and from sending usage reports, which it does even offline; yield what it warns of."""
    import wandb

    settings = own_settings()
    messages = _Messages()
    wandb.termsetup(wandb.Settings(silent=True), messages)
    try:
        with environment("WANDB_ERROR_REPORTING", os.environ.get("WANDB_ERROR_REPORTING", "false")):
            yield messages.warnings
    finally:
        wandb.termsetup(settings, None)


@contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """An environment variable set for a while: where W&B copies the files of tables to, for one, is told by such."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


class _Messages:
    """What wandb would have printed; warnings are kept."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def info(self, msg: str) -> None:
        pass

    def warning(self, msg: str) -> None:
        self.warnings.append(msg)

    error = warning


def own_settings() -> wandb.Settings:
    """What the environment and W&B's settings files say; reading them starts nothing."""
    from wandb.sdk.wandb_setup import singleton

    return singleton().settings


def run_settings(system_metrics: bool) -> wandb.Settings:
    """Settings of a run, without what W&B finds out about the machine: the manifest says it better, once."""
    import wandb

    return wandb.Settings(
        console="off",
        silent=True,
        symlink=False,
        use_dot_wandb=False,
        save_code=False,
        disable_code=True,
        disable_git=True,
        label_disable=True,
        sagemaker_disable=True,
        program="bn-ablate",
        init_timeout=INIT_TIMEOUT,
        finish_timeout=FINISH_TIMEOUT,
        finish_timeout_raises=True,
        stop_fn=lambda: None,  # wandb's own interrupts the main thread
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=not system_metrics,
        x_disable_viewer=True,
        x_save_requirements=False,
    )
