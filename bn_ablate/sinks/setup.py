"""How wandb is set up here: as its user has chosen, silent, without a prompt, and never longer than its timeouts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bn_ablate.sinks.modes import WANDB_MODES, Mode
from bn_ablate.sinks.sink_error import SinkError, calling_wandb, reason_of, unusable

if TYPE_CHECKING:
    import wandb

INIT_TIMEOUT = 30.0
FINISH_TIMEOUT = 120.0
"""Seconds that opening a run, and sending the last of its data, may take."""

FILE_UNREAD = "Error reading settings"
"""What wandb warns of, without raising anything, when it cannot read a settings file."""

OTHERWISE_READ = ("anonymous", "ignore_globs", "root_dir", "settings_system")
"""What may stand in a settings file, and is no setting as it stands there."""


def configured_mode() -> Mode:
    """The mode that W&B's settings files ask for (`wandb offline` writes it there); `auto` where they leave it open."""
    mode = WANDB_MODES.get(own_settings().mode, "auto")
    return "auto" if mode == "online" else mode


def own_project() -> str | None:
    """The project that the environment or W&B's settings files name, if any."""
    return own_settings().project


def has_key() -> bool:
    """Whether there is an API key for the W&B server in use: environment, netrc or settings. It never asks for one.

    `wandb.login` will not do: it answers no while the caller has a run open.

    Raises:
        SinkError: there is one, but it is malformed.
    """
    with calling_wandb(lambda error: unusable(error, "the API key cannot be used")):
        from wandb.sdk.lib.wbauth import authenticate_session

        host = own_settings().base_url
        return authenticate_session(host=host, source="bn-ablate", prompt=False, update_session=False) is not None


def refuse_sweep() -> None:
    """Make sure that this process does not belong to a sweep.

    Raises:
        SinkError: it does.
    """
    if own_settings().sweep_id:
        raise SinkError("Weights & Biases: a sweep would take every lane for its one run: unset WANDB_SWEEP_ID.")


def require_key(otherwise: str = ".") -> None:
    """Make sure that there is an API key; `otherwise` ends the sentence that says what to do.

    Raises:
        SinkError: there is none, or it is malformed.
    """
    if not has_key():
        reason = "there is no API key: run `wandb login` or set WANDB_API_KEY"
        raise SinkError(f"Weights & Biases: {reason}{otherwise}", reason)


@contextmanager
def quiet_wandb() -> Iterator[list[str]]:
    """Keep wandb from printing, and from sending usage reports, which it does even offline; yield what it warns of.

    Raises:
        SinkError: wandb does not take what the environment or a settings file says.
    """
    messages = _Messages()
    with calling_wandb():
        import wandb

        silent = wandb.Settings(silent=True)
        shown = wandb.Settings()
        wandb.termsetup(silent, messages)
    try:
        with calling_wandb():
            _load_settings(messages.warnings)
            shown = own_settings()
            wandb.termsetup(silent, messages)
        with environment("WANDB_ERROR_REPORTING", os.environ.get("WANDB_ERROR_REPORTING", "false")):
            yield messages.warnings
    finally:
        wandb.termsetup(shown, None)


def _load_settings(warnings: list[str]) -> None:
    """Let wandb read its environment variables and settings files, unless it has done so before.

    After an error wandb would go on with what it had read by then, and a file that it does not take it leaves out; so
    both are looked at here. A `WANDB_MODE` is `modes.asked_mode`'s: one that is none is no obstacle to another that was
    asked for.
    """
    import wandb
    from wandb.sdk.wandb_setup import singleton

    def variable(name: str, value: str) -> None:
        settings = wandb.Settings()
        settings.update_from_env_vars({name: value})
        settings.to_proto()  # as wandb's own process gets them: UTF-8, and numbers of so many bits

    if singleton().settings_if_loaded:
        return
    said = {name: value for name, value in sorted(os.environ.items()) if name.startswith("WANDB_")}
    mode = said.pop("WANDB_MODE", None)
    if wrong := refused(said, variable):
        unset = " ".join(["unset", *(sentence.partition(":")[0] for sentence in wrong)])
        raise unusable(f"{'; '.join(wrong)}. Correct {'it' if len(wrong) == 1 else 'them'}, or `{unset}`")
    with environment("WANDB_MODE", None if mode is None or refused({"WANDB_MODE": mode}, variable) else mode):
        try:
            settings = singleton().settings
        except Exception:
            wandb.teardown()
            raise
    files = settings.read_system_settings()
    own = {key: value for key, value in files.all().items() if key not in OTHERWISE_READ}
    unread = [warning.splitlines()[0] for warning in warnings if FILE_UNREAD in warning]
    if wrong := unread or refused(own, lambda key, value: wandb.Settings(**{key: value})):
        wandb.teardown()
        where = f"{' or '.join(map(str, files.sources))}: " if files.sources else ""
        raise unusable(f"{where}{'; '.join(wrong)}. Correct or remove that line")


def refused(settings: Mapping[str, Any], take: Callable[[str, Any], object]) -> list[str]:
    """A sentence for each of `settings` that `take` does not take: its name and why, without its value."""
    found = []
    for name, value in settings.items():
        try:
            take(name, value)
        except Exception as error:  # of another kind for nearly every setting
            found.append(f"{name}: {reason_of(error).rstrip('.')}")
    return found


@contextmanager
def environment(name: str, value: str | None) -> Iterator[None]:
    """An environment variable set, or unset, for a while: where W&B copies the files of tables to is such a one."""
    before = os.environ.get(name)
    _set_variable(name, value)
    try:
        yield
    finally:
        _set_variable(name, before)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


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
