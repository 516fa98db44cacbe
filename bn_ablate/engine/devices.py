"""Which devices a run uses, and how JAX is set up for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import platformdirs

from bn_ablate.config import ConfigError, Problem
from bn_ablate.config.errors import BnAblateError
from bn_ablate.plan.memory import SHARE, Machine
from bn_ablate.plan.memory.host import cores, memory_bytes, peak_bytes

if TYPE_CHECKING:
    import jax

Platform = Literal["auto", "cpu", "cuda", "tpu"]


NUMBERS: dict[str, Any] = {"jax_enable_x64": False, "jax_default_prng_impl": "threefry2x32"}
"""Settings of JAX that would make other numbers of the same lane, whatever the environment says."""


class DeviceError(BnAblateError, RuntimeError):
    """The device that was asked for is not there, or cannot be used; the message says what is."""


def set_up(platform: str = "auto", host_devices: int | None = None, cache: Path | None = None) -> None:
    """Prepare JAX for a run by the command line: to be called before JAX starts its backend, and never by an import.

    On CPU every core becomes a device of its own (`host_devices` of them, by default as many as this process may
    use), each running its lanes on one thread: small matrix products gain nothing from several. Compiled programs are
    kept in `cache`, by default a folder of the user's cache, so that the same study starts at once the next time (see
    `engine.executables`). JAX's own cache is off: what comes out of it runs, but cannot be kept once more, since XLA
    then leaves functions of it out.

    Raises:
        DeviceError: JAX has no such platform, here or at all.
        ConfigError: `XLA_FLAGS` says what XLA does not take.
    """
    if platform not in get_args(Platform):
        raise DeviceError(f"device {platform!r} is none of {', '.join(get_args(Platform))}; an NVIDIA GPU is 'cuda'")
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:  # else a process that was set up has started this one
        _check_flags(flags)
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    from bn_ablate.engine.executables import keep_in

    asked = platform if platform != "auto" else os.environ.get("JAX_PLATFORMS")
    if asked:  # the CPU beside it is what a new device is compared with
        jax.config.update("jax_platforms", asked if "cpu" in asked.split(",") else f"{asked},cpu")
    for name, value in NUMBERS.items():
        jax.config.update(name, value)
    cache = cache or platformdirs.user_cache_path("bn_ablate") / "programs"
    keep_in(cache / "executables")
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        jax.config.update("jax_num_cpu_devices", host_devices or cores())
    except RuntimeError:  # JAX lets nobody set it up any more
        said = "JAX was started when an extension was loaded: let it make its constants with NumPy, or in its functions"
        raise ConfigError("extensions", [Problem("", said)]) from None
    try:
        jax.devices()
    except RuntimeError as error:
        jax.config.update("jax_platforms", None)
        if platform == "auto":
            raise  # nobody asked for it but JAX_PLATFORMS, which JAX names
        remedy = f"install its extra with `make setup DEVICE={platform}`"
        raise DeviceError(f"device {platform!r} is not available here ({error}); {remedy}") from None


def is_accelerator(device: jax.Device) -> bool:
    """Whether `device` is another than the CPU."""
    return str(device.platform) != "cpu"


def machine(
    strategy: Literal["auto", "vmap", "map"] = "auto",
    at_once: int | None = None,
    memory: int | None = None,
    devices: list[jax.Device] | None = None,
) -> Machine:
    """What a run has at its disposal on `devices`, all local ones when not given.

    `auto` is `map` on CPU, else `vmap`. When `memory` is not given it is a share of what there is: on the devices where
    they say, else for this process.
    """
    import jax

    devices = devices or jax.local_devices()
    if strategy == "auto":
        strategy = "vmap" if is_accelerator(devices[0]) else "map"
    if memory is None:
        limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
        memory = int(SHARE * (min(limits) * len(devices) or memory_bytes()))
    return Machine(strategy, len(devices), memory, at_once or 1, str(devices[0].platform))


def _check_flags(flags: str) -> None:
    """Start XLA with `flags` in another process, where there are some: it ends the process where it does not know one.

    Raises:
        ConfigError: it does not.
    """
    if not flags.strip():
        return
    start = [sys.executable, "-c", "import jax; jax.devices()"]
    done = subprocess.run(
        start, env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["XLA does not start with it"]
        reason = said[0].rpartition("] ")[2]
        raise ConfigError("environment", [Problem("XLA_FLAGS", f"is {flags!r}: {reason}; unset it, or mend it")])


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory did not suffice, of the host or of a device."""
    import jax

    exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return isinstance(error, MemoryError) or exhausted


def peak_memory_bytes() -> int:
    """The most memory used so far: on the fullest device where it tells, else by this process."""
    import jax

    used = [
        stats["peak_bytes_in_use"]
        for d in jax.local_devices()
        if (stats := d.memory_stats()) and "peak_bytes_in_use" in stats
    ]
    return int(max(used)) if used else peak_bytes()
