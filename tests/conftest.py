"""What all tests share: two CPU devices, caches of their own, patient properties, float32, and a small disk."""

from __future__ import annotations

import gc
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

from bn_ablate.config.extensions import LOADED, forget
from bn_ablate.engine import set_up
from bn_ablate.plan.memory.host import cores
from tests.disk import Disk, kinds_of_disk, mounted
from tests.effort import FEW
from tests.patches import begun_as_by_users, few_figures

# one folder for a test run, whether it has one process or several
SHARED = Path(tempfile.gettempdir()) / f"bn_ablate-tests-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"

# most of the suite is compiling what runs for an instant; `make test-all` says XLA_FLAGS= and compiles as users do
QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_multi_thread_eigen=false"
)
if jax.__version_info__ < (0, 11):  # then that was one way of two; XLA takes no flag that it does not know
    QUICKLY += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICKLY)

# compiled programs of these processes and of those that they start: never in the cache of whoever runs them
os.environ["XDG_CACHE_HOME"] = str(SHARED / "cache")
# on two CPU devices, if not where this says: `scripts/gpu_check.sh` says "auto"
set_up(os.environ.get("BN_ABLATE_TEST_DEVICE", "cpu"), host_devices=2)
# what a test calls itself is held to float32 on every device, as `engine.program.at_precision` holds programs
jax.config.update("jax_default_matmul_precision", "highest")
# an axis that an array lacks is written out, or a vector by example may pass for one by channel
jax.config.update("jax_numpy_rank_promotion", "raise")
os.environ["BN_ABLATE_DATA_DIR"] = str(SHARED / "data")
hypothesis.settings.load_profile(FEW)
# the collector would look again and again at all that was imported, and after every few traced operations
gc.freeze()
gc.set_threshold(50_000, 20, 20)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of what W&B does wait for most of their time."""
    return cores() + 1


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What extensions register while the tests of a file run is not known to those of the next."""
    before = set(LOADED)
    yield
    for path in set(LOADED) - before:
        forget(path)


@pytest.fixture
def as_users_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lanes are the same to the bit however they are divided."""
    begun_as_by_users(monkeypatch)


@pytest.fixture
def draw_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have one figure, and papers none."""
    few_figures(monkeypatch)


@pytest.fixture(params=kinds_of_disk())
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A disk that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    if request.param == "refusing":
        with pytest.MonkeyPatch.context() as patch:
            yield Disk(place, patch)
        return
    assert mounted(place)
    yield Disk(place, None)
    subprocess.run(["umount", str(place)], check=True)
