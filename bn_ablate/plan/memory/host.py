"""What this machine lets the process have, on Linux, in its containers, and elsewhere: the one place that asks."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
"""What Linux says of this process."""

UNKNOWN_BYTES = 4 * 2**30
"""The memory of a machine that does not say how much it has."""


def cores() -> int:
    """Cores that this process may use: those it is bound to, where the system binds, within its cgroups' quotas."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *map(math.ceil, _quotas())]))


def memory_bytes() -> int:
    """Memory that this process may take: the machine's, or the least that one of its cgroups is limited to."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        there = 0
    limits = (text for folder in _cgroups("memory") for text in _read(folder, "memory.max", "memory.limit_in_bytes"))
    return min([there if there > 0 else UNKNOWN_BYTES, *(int(text) for text in limits if text.isdecimal())])


def peak_bytes() -> int:
    """The most memory that this process has held."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def accelerated() -> bool:
    """Whether JAX may find an accelerator here: one of its plugins is installed."""
    return any(find_spec(name) for name in ("jax_plugins", "libtpu")) or bool(entry_points(group="jax_plugins"))


def _quotas() -> Iterator[float]:
    """By cgroup, how many cores' time it may take: of version 2 in one file, of version 1 in two."""
    for folder in _cgroups("cpu"):
        words = " ".join([*_read(folder, "cpu.max"), *_read(folder, "cpu.cfs_quota_us", "cpu.cfs_period_us")]).split()
        if len(words) == 2 and words[0].isdecimal() and words[1].isdecimal() and int(words[1]):
            yield int(words[0]) / int(words[1])


def _cgroups(controller: str) -> Iterator[Path]:
    """The folders of the cgroups that `controller` counts this process to, of either version: its own, and those above.

    A container sees its own part of the hierarchy, mounted somewhere; what lies above that is not to be seen.
    """
    try:
        memberships = (PROC / "cgroup").read_text().splitlines()
        mounts = [line for line in (PROC / "mountinfo").read_text().splitlines() if " - " in line]
    except OSError:
        return
    for membership in memberships:
        _, controllers, path = (*membership.split(":", 2), "", "")[:3]
        for mount in mounts:
            place, _, kind = mount.partition(" - ")
            root, point = (word.replace(r"\040", " ") for word in place.split()[3:5])
            system, *_, options = kind.split()
            if controllers:
                there = system == "cgroup" and controller in controllers.split(",") and controller in options.split(",")
            else:
                there = system == "cgroup2"
            if there and path:
                inside = PurePosixPath(path)
                inside = inside.relative_to(root) if inside.is_relative_to(root) else PurePosixPath()
                if ".." not in inside.parts:
                    yield from (Path(point) / level for level in (inside, *inside.parents))


def _read(folder: Path, *names: str) -> Iterator[str]:
    """What the files of these names in `folder` say, as far as they are there."""
    for name in names:
        try:
            yield (folder / name).read_text().strip()
        except OSError:
            continue
