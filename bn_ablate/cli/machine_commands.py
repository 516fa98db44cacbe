"""The commands about this machine: its data sets, and whether its device computes what the CPU computes."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro

from bn_ablate.cli.arguments import Place, fail


def data(
    name: Annotated[
        str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="the data set to prepare; none: list them")
    ] = None,
    manual_dir: Annotated[
        Place | None, tyro.conf.arg(help="a folder that holds its files, where there is no network")
    ] = None,
) -> None:
    """Prepare a data set for use, or list those that can be used, and what else is prepared but cannot be."""
    from bn_ablate.data import available, prepare, prepared

    if name is None:
        print("\n".join(available()))
        refused = {name: reason for name, reason in prepared().items() if reason}
        if refused:
            print("\nprepared on this machine, but not to be used:")
        for name, reason in refused.items():
            print(f"{name}: {reason}")
    else:
        print(f"{name}: prepared in {prepare(name, manual_dir=manual_dir)}")


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
