"""The command about this machine: whether its device computes what the CPU computes."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from bn_ablate.cli.arguments import fail


def check_device(
    device: Annotated[Literal["auto", "cpu", "cuda", "tpu"], tyro.conf.arg(help="what to check")] = "auto",
    strategy: Annotated[
        Literal["vmap", "map"], tyro.conf.arg(help="how to train on it: lanes all at once (vmap) or in turn (map)")
    ] = "vmap",
    at_once: Annotated[int, tyro.conf.arg(metavar="N", help="lanes that map takes together on a device")] = 1,
) -> None:
    """Train a tiny grid on a device and lane by lane on the CPU, and compare the numbers; anew, whatever is known.

    The first run on a kind of accelerator does the same by itself. Without an accelerator, the CPU's vmap is checked.
    """
    from bn_ablate import engine
    from bn_ablate.engine.known_devices import refusal, remember
    from bn_ablate.engine.selfcheck import check_devices

    if at_once < 1:
        fail(f"bn-ablate: --at-once: {at_once} is no number of lanes; 1 or more", 2)
    engine.set_up(device)
    found = check_devices(strategy, at_once=at_once)
    if not found.passed:
        fail(f"bn-ablate: {refusal(found)}", 2)
    remember(found)
    print(f"{found.devices} × {found.device} ({found.platform}), JAX {found.versions[0]}: {found.said}")
    print(f"computes what the CPU computes; checked in {found.seconds:.1f} s")
