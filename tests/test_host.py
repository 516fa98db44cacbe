"""What the machine lets a process have: within containers of either kind, and where the system is not Linux."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bn_ablate import engine
from bn_ablate.engine import executables
from bn_ablate.plan.memory import SHARE, Machine, host

ROOT = Path(__file__).resolve().parent.parent
UNLIMITED = str(2**63 - 4096)
"""What version 1 says where there is no limit."""


class Cgroups:
    """A hierarchy of cgroups mounted in a folder, and what Linux says of it."""

    def __init__(self, place: Path) -> None:
        self.place, self.mounts, self.groups = place, list[str](), list[str]()

    def mount(self, controllers: str, path: str, root: str = "/", point: str = "") -> Path:
        """Mount the part below `root` of a hierarchy, in which the process is in `path`; no controllers: version 2."""
        folder = self.place / (point or controllers or "unified")
        kind = f"cgroup cgroup rw,{controllers}" if controllers else "cgroup2 cgroup2 rw"
        self.mounts.append(f"31 23 0:28 {root} {str(folder).replace(' ', chr(92) + '040')} rw - {kind}")
        self.groups.append(f"{len(self.groups)}:{controllers}:{path}")
        return folder

    def say(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        proc = self.place / "proc"
        proc.mkdir(parents=True, exist_ok=True)
        (proc / "cgroup").write_text("\n".join(self.groups) + "\n")
        (proc / "mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + "\n".join(self.mounts) + "\n")


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroups:
    """None yet, on a machine of 64 GiB and 16 cores."""
    monkeypatch.setattr(host, "PROC", tmp_path / "c groups" / "proc")
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**24}.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    return Cgroups(tmp_path / "c groups")


def test_without_cgroups_it_is_the_machine(cgroups: Cgroups) -> None:
    assert (host.memory_bytes(), host.cores()) == (2**36, 16)
    cgroups.say({})
    assert (host.memory_bytes(), host.cores()) == (2**36, 16)


def test_version_2_the_least_on_the_way_counts(cgroups: Cgroups) -> None:
    """The limit of a slice holds for the services in it, whatever they say themselves."""
    cgroups.mount("", "/batch.slice/job 7/step")
    inner = {"unified/batch.slice/job 7/step/memory.max": "max", "unified/batch.slice/job 7/memory.max": str(2**32)}
    cgroups.say(inner | {"unified/batch.slice/memory.max": str(2**34), "unified/other/memory.max": str(2**20)})
    assert host.memory_bytes() == 2**32
    cgroups.say(
        {"unified/batch.slice/job 7/step/memory.max": str(2**30), "unified/batch.slice/cpu.max": "250000 100000"}
    )
    assert (host.memory_bytes(), host.cores()) == (2**30, 3)
    cgroups.say({"unified/batch.slice/cpu.max": "max 100000", "unified/batch.slice/memory.max": str(2**29)})
    assert (host.memory_bytes(), host.cores()) == (2**29, 16)


def test_version_2_in_a_container_that_sees_itself_as_the_root(cgroups: Cgroups) -> None:
    cgroups.mount("", "/")
    cgroups.say({"unified/memory.max": str(3 * 2**30), "unified/cpu.max": "50000 100000"})
    assert (host.memory_bytes(), host.cores()) == (3 * 2**30, 1)


def test_version_1_in_a_container(cgroups: Cgroups) -> None:
    """Its own part is mounted as the whole, and its path is still that of the machine; cpu and cpuacct are together."""
    cgroups.mount("memory", "/docker/abc", "/docker/abc")
    cgroups.mount("cpu,cpuacct", "/docker/abc", "/docker/abc", "cpu")
    cgroups.mount("name=systemd", "/docker/abc", "/docker/abc")
    cgroups.mount("", "/docker/abc")
    quota = {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}
    cgroups.say(quota | {"memory/memory.limit_in_bytes": str(2**31)})
    assert (host.memory_bytes(), host.cores()) == (2**31, 2)
    cgroups.say({"cpu/cpu.cfs_quota_us": "-1", "memory/memory.limit_in_bytes": UNLIMITED})
    assert (host.memory_bytes(), host.cores()) == (2**36, 16)


def test_version_1_nested(cgroups: Cgroups) -> None:
    cgroups.mount("memory", "/slurm/job_1/step_0")
    limits = {"memory/slurm/job_1": str(2**33), "memory/slurm/job_1/step_0": UNLIMITED, "memory/slurm": UNLIMITED}
    cgroups.say({f"{folder}/memory.limit_in_bytes": limit for folder, limit in limits.items()})
    assert host.memory_bytes() == 2**33


def test_a_path_outside_of_what_is_mounted_is_no_obstacle(cgroups: Cgroups) -> None:
    cgroups.mount("", "/../other")
    cgroups.mount("memory", "/elsewhere", "/docker/abc")
    cgroups.say({"memory/memory.limit_in_bytes": str(2**31)})
    assert host.memory_bytes() == 2**31


def test_a_run_takes_half_of_what_its_container_has(cgroups: Cgroups) -> None:
    cgroups.mount("", "/")
    cgroups.say({"unified/memory.max": str(2**31)})
    assert engine.machine().budget == SHARE * 2**31
    assert engine.machine(memory=2**33).budget == 2**33
    assert Machine.here() == Machine("map", 16, 2**30)
    assert Machine.here("vmap", 2, 2**33) == Machine("vmap", 16, 2**33, 2)


def test_where_the_system_says_less(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """macOS binds no process to cores, has no /proc, and counts the peak in bytes."""
    monkeypatch.setattr(host, "PROC", tmp_path)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert host.cores() == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert host.cores() == 1
    linux = host.peak_bytes()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert linux / 1024 <= host.peak_bytes() <= linux / 512

    def refuses(name: str) -> int:
        raise ValueError(f"unrecognized configuration name {name}")

    monkeypatch.setattr(os, "sysconf", refuses)
    assert host.memory_bytes() == host.UNKNOWN_BYTES
    monkeypatch.delattr(os, "sysconf")
    assert host.memory_bytes() == host.UNKNOWN_BYTES


def test_every_core_is_a_device_where_no_process_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    told: dict[str, object] = {}
    monkeypatch.setattr(jax.config, "update", told.__setitem__)
    monkeypatch.setattr(executables, "_folders", [])
    monkeypatch.setattr(host, "PROC", Path("/nowhere"))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    engine.devices.set_up("cpu", cache=Path("/nowhere"))
    assert told["jax_num_cpu_devices"] == 10


@pytest.mark.slow  # a process of its own, which imports all that a study needs
def test_a_study_is_planned_where_nothing_of_linux_is_there() -> None:
    code = (
        "import os, sys, pathlib; from bn_ablate.plan.memory import host; from bn_ablate.cli import main\n"
        "for name in ('sched_getaffinity', 'sched_setaffinity', 'sched_yield', 'posix_fadvise', 'memfd_create'):\n"
        "    delattr(os, name) if hasattr(os, name) else None\n"
        "host.PROC = pathlib.Path('/nowhere'); sys.exit(main.main(['plan', 'configs/smoke.toml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{os.cpu_count()} device" in done.stdout


LINUX_ONLY = ("sched_", "sysconf", "ru_maxrss", "prctl", "memfd_", "posix_fadvise", "posix_fallocate", "sendfile")
LINUX_ONLY += ("copy_file_range", "pidfd_", "inotify", "epoll", "sigtimedwait", "eventfd", "setns", "unshare", "splice")
APART = {"scripts/benching/protocol.py", "scripts/scale_check.py", "scripts/worker_throughput.py"}
"""One that needs the standard library alone, and asks for itself; and two that measure, what children took or on cores
of their own, and say so.
"""


@pytest.mark.parametrize("folder", ["bn_ablate", "scripts"])
def test_one_file_asks_for_what_only_linux_has(folder: str) -> None:
    found = {
        str(file.relative_to(ROOT))
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr.startswith(LINUX_ONLY)
    }
    assert found - APART == ({"bn_ablate/plan/memory/host.py"} if folder == "bn_ablate" else set())
