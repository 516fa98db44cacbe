"""What XLA is asked for when it compiles, by platform and by XLA_FLAGS; and that the programs of a device get it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.engine import Engine, programs, selfcheck, shards_of
from bn_ablate.engine.compiling import compiler_options, hastily, options_for
from bn_ablate.plan import make_plan

WITHOUT_TRITON = {"xla_gpu_enable_triton_gemm": False}


@pytest.mark.parametrize(
    ("backend", "flags", "options"),
    [
        ("cuda 13000", "", WITHOUT_TRITON),
        ("PJRT C API\ncuda 12090", "--xla_gpu_autotune_level=0", WITHOUT_TRITON),
        ("cuda 13000", "--xla_gpu_enable_triton_gemm=true", {}),
        ("cuda 13000", "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm", {}),
        ("cuda 13000", "--xla_gpu_enable_triton_gemms_of_another_name=1", WITHOUT_TRITON),
        ("PJRT C API\nrocm 60400", "", {}),
        ("PJRT C API\nTFRT TPU v5 lite", "", {}),
        ("cpu", "", {}),
    ],
)
def test_cuda_alone_is_compiled_for_without_triton_unless_the_user_says_otherwise(
    backend: str, flags: str, options: dict[str, bool]
) -> None:
    assert options_for(backend, flags) == options


def test_nothing_is_asked_for_on_a_cpu() -> None:
    assert compiler_options(jax.devices("cpu")[0]) == {}


def test_what_runs_once_is_compiled_hastily_unless_the_user_says_otherwise() -> None:
    assert hastily("") == hastily("--xla_cpu_enable_fast_math=false") == {"xla_backend_optimization_level": 1}
    assert hastily("--xla_cpu_enable_fast_math=false --xla_backend_optimization_level=3") == {}


def test_xla_knows_the_option() -> None:
    """All platforms share XLA's options; it refuses a name that it does not know."""
    a = jnp.eye(2)
    assert jax.jit(jnp.matmul, compiler_options=dict(options_for("cuda 13000", "")))(a, a).shape == (2, 2)
    with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option: 'xla_gpu_enable_triton'"):
        jax.jit(jnp.matmul, compiler_options={"xla_gpu_enable_triton": False})(a, a)


def test_what_trains_and_what_checks_a_device_are_compiled_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an option that XLA does not know in its place: what gets it is refused."""
    asked, given = {"xla_that_there_is_not": True}, {}

    def trained(_: Any, strategy: str, devices: Any, at_once: int, options: Any, *arrays: Any) -> Any:
        given[strategy] = options
        return arrays[-1]

    for module in (programs, selfcheck):
        monkeypatch.setattr(module, "compiler_options", lambda device: asked)
    monkeypatch.setattr(selfcheck, "_trained", trained)
    study = {"name": "x", "model": {"depth": 1, "width": 2}, "train": {"steps": 1}, "axes": {"placement": ["none"]}}
    (shard,) = shards_of(make_plan(bn.build_study(study)))
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_that_there_is_not"):
        Engine(load("digits"), "vmap").run(shard)
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_that_there_is_not"):
        selfcheck.check_devices("vmap")  # by its product of two matrices; its training is `given`
    assert given == {"map": hastily(), "vmap": asked}
