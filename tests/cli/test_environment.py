"""A variable of the environment that a library does not take ends in its name, and in status 2."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jax
import pytest

from bn_ablate import engine
from bn_ablate.cli import messages
from tests.cli.command_line import Bn, command


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("POLARS_MAX_THREADS", "0", 1),
        ("POLARS_MAX_THREADS", "many", 1),
        ("POLARS_MAX_THREADS", "²", 1),
        ("SOURCE_DATE_EPOCH", "x", 0),
        ("SOURCE_DATE_EPOCH", "-1", 0),
    ],
)
def test_what_a_library_does_not_say_is_said(
    bn: Bn, config: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, least: int
) -> None:
    monkeypatch.setenv(name, value)
    said = f"  {name}: is '{value}': it must be a whole number, {least} or more; unset it, or set it to one\n"
    assert bn("plan", config) == (2, "", f"bn-ablate: environment: 1 problem\n{said}")
    monkeypatch.setenv(name, " 7 ")
    assert bn("plan", config).status == 0


@pytest.mark.parametrize(
    ("name", "value", "telling"),
    [
        ("JAX_ENABLE_X64", "maybe", "invalid truth value 'maybe'"),
        pytest.param("JAX_NUM_CPU_DEVICES", "x", 'Invalid value "x"', marks=pytest.mark.slow),  # as JAX_ENABLE_X64
        pytest.param("JAX_PLATFORMS", "foo", "Unable to initialize backend 'foo'", marks=pytest.mark.slow),
        ("XLA_FLAGS", "--nonsense", "Unknown flag in XLA_FLAGS: --nonsense"),
    ],
)
def test_what_jax_refuses_is_reported_with_the_variable(
    config: Path, tmp_path: Path, name: str, value: str, telling: str
) -> None:
    words = ("run", config, "--results", tmp_path / "results", "--wandb", "disabled")
    start = command("-m", "bn_ablate.cli", *words)
    start["env"] |= {name: value}
    done = subprocess.run(**start, capture_output=True, check=False, timeout=120)
    assert done.returncode == 2
    assert name in done.stderr
    assert telling in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_lane_that_diverges_under_the_debugger_of_jax_is_reported(
    bn: Bn, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: bool
) -> None:
    """JAX computes what diverged once more, step by step, which takes long; a logarithm in its place does not."""
    monkeypatch.setenv("JAX_DEBUG_NANS", "1")
    if not trained:
        monkeypatch.setattr(engine.Engine, "run", lambda *args, **more: jax.jit(jax.numpy.log)(-1.0))
    with jax.debug_nans(True):
        words = ("--set", "train.learning_rate=1e30", "--set", "axes={}", "--set", "hypotheses=[]", "--set", "seeds=1")
        done = bn("run", config, "--results", tmp_path / "results", "--wandb", "disabled", *words)
    assert done.status == 2
    assert done.err.endswith(
        "JAX_DEBUG_NANS is set, so that a lane that diverges ends the run; unset it, and such a lane is recorded\n"
    )


def test_an_error_of_ours_is_not_laid_on_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "nonsense")

    def refusal(raiser: str) -> tuple[int, str] | None:
        try:
            exec(compile("raise ValueError(\"Key backend: 'nonsense' is not a valid value\")", raiser, "exec"))
        except ValueError as error:
            return messages.sentence_of(error)
        return None

    told = refusal("/site-packages/matplotlib/__init__.py")
    assert told is not None
    assert told[0] == 2
    assert told[1].startswith("the environment variable MPLBACKEND is 'nonsense': Key backend: ")
    assert refusal(str(Path(messages.__file__).with_name("plan.py"))) is None
    monkeypatch.delenv("MPLBACKEND")
    assert refusal("/site-packages/matplotlib/__init__.py") is None
