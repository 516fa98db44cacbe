"""What all tests share: two CPU devices, caches of their own, and patient properties."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis

from bn_ablate.engine import set_up

# one folder for a test run, whether it has one process or several
SHARED = Path(tempfile.gettempdir()) / f"bn_ablate-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"

set_up("cpu", host_devices=2, cache=SHARED / "programs")
os.environ["BN_ABLATE_DATA_DIR"] = str(SHARED / "data")
hypothesis.settings.register_profile("patient", deadline=None, derandomize=True)
hypothesis.settings.load_profile("patient")
