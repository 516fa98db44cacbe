"""Which kinds of device have passed the check of `selfcheck`: remembered in the user's cache."""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import platformdirs

from bn_ablate.engine.devices import DeviceError, is_accelerator
from bn_ablate.engine.execute import Engine
from bn_ablate.engine.lanewise import Strategy
from bn_ablate.engine.selfcheck import DeviceCheck, check_devices, versions_of

CHECK_FORMAT = 1
"""Raised when the check changes, so that no device passes for having passed an easier one."""


class FaultyDeviceError(DeviceError):
    """A device does not compute what the CPU computes; the message has the numbers."""

    status = 2


def ensure_checked(engine: Engine, folder: Path | None = None) -> DeviceCheck | None:
    """The check of the devices of `engine`, by its strategy; None on the CPU.

    It is made once for each kind and number of devices, strategy and version of JAX. A check that was passed is
    remembered in `folder`, by default one of the user's cache; one that failed is not.

    Raises:
        FaultyDeviceError: they compute something else than the CPU.
        DeviceError: JAX has no CPU here to compare with.
    """
    assert engine.devices is not None
    assert engine.strategy != "auto"
    if not is_accelerator(engine.devices[0]):
        return None
    if known := _remembered(engine.strategy, engine.devices, engine.at_once, folder):
        return known
    found = check_devices(engine.strategy, engine.devices, engine.at_once)
    if not found.passed:
        raise FaultyDeviceError(refusal(found))
    remember(found, folder)
    return found


def refusal(found: DeviceCheck) -> str:
    """Why a device is not trained on, and what may help."""
    other = "map" if found.strategy == "vmap" else "vmap"
    return (
        f"{found.device} ({found.platform}, JAX {found.versions[0]}) does not compute what the CPU computes: "
        f"{found.said}; see whether another way passes (`bn-ablate check-device --strategy {other}`), use another "
        "version of JAX, or train with --device cpu"
    )


def remember(found: DeviceCheck, folder: Path | None = None) -> None:
    """Keep a check that was passed; where the folder cannot be written, it will be made again."""
    key = (found.platform, found.device, found.devices, found.versions, found.strategy, found.at_once)
    path = _place(key, folder)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(json.dumps(found._asdict(), indent=2) + "\n")
        Path(file.name).replace(path)


def _remembered(strategy: Strategy, devices: list[jax.Device], at_once: int, folder: Path | None) -> DeviceCheck | None:
    device = devices[0]
    key = (device.platform, device.device_kind, len(devices), versions_of(device), strategy, at_once)
    try:
        said = json.loads(_place(key, folder).read_text())
        known = DeviceCheck(**said | {"versions": tuple(said["versions"])})
        return known if known.passed else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _place(key: tuple[Any, ...], folder: Path | None) -> Path:
    folder = folder or platformdirs.user_cache_path("bn_ablate") / "devices"
    return folder / f"{hashlib.sha256(repr((CHECK_FORMAT, *key)).encode()).hexdigest()[:16]}.json"
