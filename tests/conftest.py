"""What all tests share: two CPU devices, caches of their own, patient properties, and a small disk."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from bn_ablate.engine import set_up

# one folder for a test run, whether it has one process or several
SHARED = Path(tempfile.gettempdir()) / f"bn_ablate-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"

set_up("cpu", host_devices=2, cache=SHARED / "programs")
os.environ["BN_ABLATE_DATA_DIR"] = str(SHARED / "data")
hypothesis.settings.register_profile("patient", deadline=None, derandomize=True)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", str(place)], check=True)
