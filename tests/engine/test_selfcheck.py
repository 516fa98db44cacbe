"""The check of a device against the CPU: it passes here, finds planted faults, and is made once for each kind."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.config import build_study
from bn_ablate.data import load
from bn_ablate.engine import DeviceError, Engine, ensure_checked, executables, known_devices, selfcheck
from bn_ablate.engine.devices import is_accelerator
from bn_ablate.engine.known_devices import FaultyDeviceError, refusal
from bn_ablate.engine.selfcheck import CELLS, DeviceCheck, check_devices
from bn_ablate.engine.train import TrainState
from bn_ablate.runs import run as study
from bn_ablate.runs.task import Task
from bn_ablate.runs.training import Here
from tests.cli.command_line import TINY

Fault = Callable[[TrainState], TrainState]


@pytest.fixture(scope="module")
def trained() -> tuple[DeviceCheck, dict[str, TrainState]]:
    """One check of two CPU devices, all lanes at once, and the states that it compared, by strategy."""
    states: dict[str, TrainState] = {}
    real = selfcheck._trained

    def kept(program: Any, strategy: str, *given: Any, **options: Any) -> TrainState:
        states[strategy] = real(program, strategy, *given, **options)  # type: ignore[arg-type]
        return states[strategy]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selfcheck, "_trained", kept)
        return check_devices("vmap"), states


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch, trained: tuple[Any, dict[str, TrainState]]) -> Callable[[Fault], None]:
    """Plants a fault in what the lanes of the device end in."""

    def plant(fault: Fault) -> None:
        states = {"map": trained[1]["map"], "vmap": fault(jax.tree.map(np.copy, trained[1]["vmap"]))}
        monkeypatch.setattr(selfcheck, "_trained", lambda program, strategy, *given, **options: states[strategy])

    return plant


@pytest.mark.skipif(is_accelerator(jax.devices()[0]), reason="is about the CPU")
def test_all_lanes_at_once_pass_on_cpu_with_room(trained: tuple[DeviceCheck, Any]) -> None:
    check, states = trained
    assert check.passed
    assert (check.platform, check.devices, check.strategy, check.lanes) == ("cpu", 2, "vmap", 2 * 2 * len(CELLS))
    assert check.products < 1e-6
    assert check.tolerance == 1e-3
    assert max(check.parameters, check.statistics, check.loss) < 1e-4
    first, *others = states["vmap"].params["block_1"]["linear"]["kernel"][0]
    assert not any(np.allclose(first, other, atol=1e-3) for other in others), "the lanes would not tell apart"


def second(leaf: np.ndarray) -> np.ndarray:
    leaf[1, 5] *= 1.01
    return leaf


@pytest.mark.parametrize(
    ("fault", "worst"),
    [
        (lambda state: jax.tree.map(lambda leaf: np.roll(leaf, 1, 0), state), ""),
        (lambda state: jax.tree.map(lambda leaf: np.roll(leaf, 1, 1), state), ""),
        (lambda state: state._replace(params=jax.tree.map(second, state.params)), "pre, activation tanh, dropout 0.25"),
        (lambda state: state._replace(batch_stats=jax.tree.map(second, state.batch_stats)), "on device 0"),
        (lambda state: state._replace(loss_sum=second(state.loss_sum)), "pre, activation tanh, dropout 0.25"),
        (lambda state: state._replace(loss_sum=np.full_like(state.loss_sum, np.nan)), ""),
        (lambda state: state._replace(params=jax.tree.map(lambda leaf: np.full_like(leaf, np.inf), state.params)), ""),
    ],
    ids=["other seeds", "other cells", "one lane by 1%", "its statistics", "its losses", "not a number", "infinite"],
)
def test_lanes_that_end_elsewhere_are_found(faulty: Callable[[Fault], None], fault: Fault, worst: str) -> None:
    faulty(fault)
    check = check_devices("vmap")
    assert not check.passed
    assert worst in check.worst
    assert worst in refusal(check)


def test_products_that_are_wrong_are_found_and_widen_no_tolerance(
    faulty: Callable[[Fault], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty(lambda state: state)
    for off, passes in ((3e-4, True), (3e-3, True), (0.3, False), (np.nan, False)):
        real = jnp.matmul
        with monkeypatch.context() as patch:
            patch.setattr(jnp, "matmul", lambda a, b, off=off, real=real: (1 + off) * real(a, b))
            check = check_devices("vmap")
        assert check.passed is passes
        assert check.tolerance <= 0.3


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """The CPU passes for an accelerator, and its check for one that was made just so."""
    monkeypatch.setattr(known_devices, "is_accelerator", lambda device: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = SimpleNamespace(checks=0, parameters=1e-6)

    def check(strategy: Any, devices: list[jax.Device], at_once: int) -> DeviceCheck:
        made.checks += 1
        platform, kind, versions = devices[0].platform, devices[0].device_kind, selfcheck.versions_of(devices[0])
        numbers = {"products": 1e-7, "tolerance": 1e-3, "parameters": made.parameters, "statistics": 0.0, "loss": 0.0}
        return DeviceCheck(
            platform, kind, len(devices), versions, strategy, at_once, 24, worst="one", seconds=0.1, **numbers
        )

    monkeypatch.setattr(known_devices, "check_devices", check)
    return made


def test_a_device_is_checked_once_for_its_kind_number_and_strategy(accelerator: SimpleNamespace) -> None:
    dataset = load("digits")
    first = ensure_checked(Engine(dataset, "vmap"))
    assert ensure_checked(Engine(dataset, "vmap")) == first
    assert accelerator.checks == 1
    ensure_checked(Engine(dataset, "map"))
    ensure_checked(Engine(dataset, "map", at_once=2))
    assert accelerator.checks == 3
    ensure_checked(Engine(dataset, "vmap", jax.local_devices()[:1] * 3))
    assert accelerator.checks == 4


def test_the_manifest_says_how_the_device_was_checked(
    accelerator: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifests: list[dict[str, Any]] = []

    def train(crew: Here, task: Task) -> None:
        manifests.append(task.manifest)
        raise KeyboardInterrupt

    monkeypatch.setattr(Here, "train", train)
    with pytest.raises(KeyboardInterrupt):
        study.run(build_study(tomllib.loads(TINY)), tmp_path, strategy="vmap")
    assert manifests[0]["device"]["check"]["parameters"] == accelerator.parameters
    assert json.loads(json.dumps(manifests[0]["device"]["check"]))["strategy"] == "vmap"


def test_what_is_remembered_must_be_whole_and_a_pass(accelerator: SimpleNamespace, tmp_path: Path) -> None:
    trainer = Engine(load("digits"), "vmap")
    ensure_checked(trainer, tmp_path)
    (file,) = tmp_path.glob("*.json")
    whole = file.read_text()
    for damaged in ("", "[]", "{}", whole[:-9], json.dumps(json.loads(whole) | {"parameters": 1.0})):
        file.write_text(damaged)
        before = accelerator.checks
        ensure_checked(trainer, tmp_path)
        assert accelerator.checks == before + 1
        assert file.read_text() == whole


def test_a_folder_that_cannot_be_written_costs_a_check_each_time(accelerator: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for n in (1, 2):
        assert ensure_checked(Engine(load("digits"), "vmap"), tmp_path / "file" / "devices") is not None
        assert accelerator.checks == n


def test_a_device_that_fails_is_refused_each_time(accelerator: SimpleNamespace, tmp_path: Path) -> None:
    accelerator.parameters = 0.123
    for n in (1, 2):
        with pytest.raises(FaultyDeviceError, match=r"parameters differ by 1\.2e-01.*check-device --strategy map"):
            ensure_checked(Engine(load("digits"), "vmap"), tmp_path)
        assert accelerator.checks == n
    assert not list(tmp_path.glob("*.json"))


def test_the_cpu_alone_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(known_devices, "check_devices")
    assert ensure_checked(Engine(load("digits"), "vmap", jax.local_devices(backend="cpu"))) is None


def test_without_a_cpu_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*, backend: str) -> list[jax.Device]:
        raise RuntimeError(f"Unknown backend {backend}")

    devices = jax.local_devices()
    monkeypatch.setattr(jax, "local_devices", none)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(DeviceError, match=r"Unknown backend cpu.*set JAX_PLATFORMS=cuda,cpu"):
        check_devices("vmap", devices)


@pytest.mark.parametrize(
    ("asked", "platforms"), [("cuda", "cuda,cpu"), ("tpu,cpu", "tpu,cpu"), ("cpu", "cpu"), ("", None)]
)
def test_the_cpu_is_there_beside_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, asked: str, platforms: str | None
) -> None:
    set_to: dict[str, Any] = {}
    monkeypatch.setattr(type(jax.config), "update", lambda config, name, value: set_to.update({name: value}))
    monkeypatch.setattr(jax, "devices", list)
    monkeypatch.setattr(executables, "_folders", [])
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    engine.set_up("auto")
    assert set_to.get("jax_platforms") == platforms


def test_the_command_line_refuses_a_device_with_a_planted_fault(
    trained: tuple[Any, dict[str, TrainState]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Where lanes are trained all at once, each gets its neighbour's result: the first run ends before it begins."""

    each_lane, train = selfcheck.each_lane, selfcheck._trained

    def on_the_device(program: Any, strategy: Any, *given: Any) -> TrainState:
        return trained[1]["map"] if strategy == "map" else train(program, strategy, *given)  # what the CPU gives stands

    def mixed_up(strategy: Any, *given: Any) -> Any:
        states, found = each_lane(strategy, *given)
        return (states if strategy == "map" else jax.tree.map(lambda leaf: jnp.roll(leaf, 1, (0, 1)), states)), found

    monkeypatch.setattr(selfcheck, "each_lane", mixed_up)
    monkeypatch.setattr(selfcheck, "_trained", on_the_device)
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    monkeypatch.setattr(known_devices, "is_accelerator", lambda device: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "tiny.toml").write_text(TINY)
    command = ["run", f"{tmp_path}/tiny.toml", "--results", f"{tmp_path}/results", "--wandb", "disabled"]
    assert cli.main([*command, "--strategy", "vmap"]) == 2
    assert not (tmp_path / "results").exists()
    said = capfd.readouterr().err
    assert "does not compute what the CPU computes: products are off by" in said
    assert "train with --device cpu" in said


def test_the_command_line_checks_by_hand(
    faulty: Callable[[Fault], None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:

    monkeypatch.setattr(engine, "set_up", lambda device: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faulty(lambda state: state)
    assert cli.main(["check-device"]) == 0
    assert "computes what the CPU computes; checked in" in capfd.readouterr().out
    assert len([*tmp_path.glob("bn_ablate/devices/*.json")]) == 1
    faulty(lambda state: jax.tree.map(lambda leaf: np.roll(leaf, 1, 1), state))
    for arguments, said in (
        ([], "does not compute what the CPU computes: products are off"),
        (["--at-once", "0"], "at-once"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["check-device", *arguments])
        assert stop.value.code == 2
        assert said in capfd.readouterr().err
