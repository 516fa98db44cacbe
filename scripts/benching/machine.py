"""What the figures were taken on, and with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benching.workers import ROOT, environment
from bn_ablate.plan.memory import host

_VERSIONS = "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in %r}))"


def describe(jax_python: Path, torch_python: Path | None) -> dict[str, Any]:
    """Time, processor, cores, memory, system, versions, and the commit of the code."""
    versions = {"python": platform.python_version()} | _versions(
        jax_python, ["jax", "jaxlib", "flax", "optax", "numpy"]
    )
    if torch_python:
        versions |= _versions(torch_python, ["torch"])
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": host.cores(),
        "memory_bytes": host.memory_bytes(),
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "commit": _commit(),
    }


def _versions(python: Path, names: list[str]) -> dict[str, str]:
    said = subprocess.run(
        [python, "-c", _VERSIONS % names], env=environment(), capture_output=True, text=True, check=True
    )
    return dict(json.loads(said.stdout))


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The commit, with a + where files differ from it; empty outside a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
