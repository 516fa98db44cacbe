"""Which devices a run uses, and how JAX is set up for them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import platformdirs

if TYPE_CHECKING:
    import jax

    from bn_ablate.engine.program import Program

Platform = Literal["auto", "cpu", "cuda", "tpu"]


class DeviceError(RuntimeError):
    """The device that was asked for is not there, or cannot be used; the message says what is."""

    status = 1
    """What the command line ends with."""


def set_up(platform: Platform = "auto", host_devices: int | None = None, cache: Path | None = None) -> None:
    """Prepare JAX for a run by the command line: to be called before JAX starts its backend, and never by an import.

    On CPU every core becomes a device of its own (`host_devices` of them, by default as many as this process may
    use), each running its lanes on one thread: small matrix products gain nothing from several. Compiled programs are
    kept in `cache`, by default a folder of the user's cache, so that the same study starts at once the next time.

    Raises:
        DeviceError: JAX has no such platform here.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_multi_thread_eigen" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    asked = platform if platform != "auto" else os.environ.get("JAX_PLATFORMS")
    if asked:  # the CPU beside it is what a new device is compared with
        jax.config.update("jax_platforms", asked if "cpu" in asked.split(",") else f"{asked},cpu")
    jax.config.update("jax_compilation_cache_dir", str(cache or platformdirs.user_cache_path("bn_ablate") / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    jax.config.update("jax_num_cpu_devices", host_devices or len(os.sched_getaffinity(0)))
    try:
        jax.devices()
    except RuntimeError as error:
        jax.config.update("jax_platforms", None)
        remedy = f"install its extra with `make setup DEVICE={platform}`"
        raise DeviceError(f"device {platform!r} is not available here ({error}); {remedy}") from None


def compiler_options(program: Program, platform: str) -> dict[str, bool] | None:
    """How to compile what trains on devices of `platform`, as JAX calls it, so that float32 is float32.

    Convolutions on a GPU are by default done by whichever of cuDNN's algorithms is the fastest, which can be off by far
    more than float32 rounds; deterministic operations were not (`docs/reproducibility.md` has what was measured). A
    user who sets such a flag in XLA_FLAGS, to either value, is left to it.
    """
    chosen = "deterministic_ops" in os.environ.get("XLA_FLAGS", "")
    if platform != "gpu" or chosen or not program.convolves or program.precision != "float32":
        return None
    return {"xla_gpu_deterministic_ops": True}


def is_accelerator(device: jax.Device) -> bool:
    """Whether `device` is another than the CPU."""
    return str(device.platform) != "cpu"


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory did not suffice, of the host or of a device."""
    import jax

    exhausted = isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return isinstance(error, MemoryError) or exhausted


def peak_memory_bytes() -> int:
    """The most memory used so far: on the fullest device where it tells, else by this process."""
    import resource

    import jax

    used = [
        stats["peak_bytes_in_use"]
        for d in jax.local_devices()
        if (stats := d.memory_stats()) and "peak_bytes_in_use" in stats
    ]
    return int(max(used)) if used else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
