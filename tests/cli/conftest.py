from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.cli.signals import SIGNALS
from tests.cli.command_line import TINY, Bn, Done
from tests.patches import few_figures


@pytest.fixture(scope="package", autouse=True)
def _in_this_process() -> Iterator[None]:
    """JAX is set up already, as commands do; and what takes the signals now takes them again afterwards."""
    precision = jax.config.jax_default_matmul_precision
    jax.config.update("jax_default_matmul_precision", None)
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "set_up", lambda device: None)
        few_figures(patch)
        yield
    jax.config.update("jax_default_matmul_precision", precision)
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture
def bn(capfd: pytest.CaptureFixture[str]) -> Bn:
    """The command line, called in this process."""

    def call(*args: object) -> Done:
        capfd.readouterr()
        try:
            status = cli.main([str(arg) for arg in args])
        except SystemExit as stop:
            status = int(str(stop.code))
        done = Done(status, *capfd.readouterr())
        assert "Traceback" not in done.out + done.err
        return done

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny study, its results, and what the run that made them printed."""
    root = tmp_path_factory.mktemp("original")
    (root / "tiny.toml").write_text(TINY)
    with (root / "out").open("w") as out, contextlib.redirect_stdout(out):
        status = cli.main(["run", f"{root}/tiny.toml", "--results", f"{root}/results", "--wandb", "disabled"])
    assert status == 0
    return root


@pytest.fixture
def results(original: Path, tmp_path: Path) -> Path:
    """A copy of the folder of all results, to be resumed."""
    return Path(shutil.copytree(original / "results", tmp_path / "results"))
