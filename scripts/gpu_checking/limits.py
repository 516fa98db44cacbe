"""What the card can do at all: copies, dispatch, products; and what its float32 products are by default."""

from __future__ import annotations

import subprocess
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpu_checking.section import Section, set_up_jax

PACKAGES = ("jax", "jaxlib", "jax-cuda13-plugin", "flax", "optax", "numpy", "scipy", "polars", "pydantic", "torch")
PRECISIONS = (None, "tensorfloat32", "highest", "bfloat16")
"""Of float32 products: the default, and three that are named."""

TIMED = ("highest", "tensorfloat32")
"""Those that `train.precision` asks for by `float32` and by `tensorfloat32`."""


def run(section: Section) -> None:
    """Report the device, then each limit."""
    section.attempt("driver", _driver)
    set_up_jax(section.platform, section.folder / "programs")
    section.report("device", _device())
    section.attempt("default precision", _default_precision)
    section.attempt("copy", lambda: _copy(2**20 if section.tiny else 2**30))
    for static in (False, True):
        section.attempt(f"a loop's turn, {'static' if static else 'traced'} count", partial(_turn, static))
    large = 256 if section.tiny else 8192
    lanes = 8 if section.tiny else 512
    products = {
        f"one product {large}³": (1, large, large, large),
        f"{lanes} lanes, 128×64 by 64×128": (lanes, 128, 64, 128),
        f"{lanes} lanes, 128×128 by 128×128": (lanes, 128, 128, 128),
        f"{lanes} lanes, 64×128 by 128×128": (lanes, 64, 128, 128),
    }
    for title, shape in products.items():
        for precision in TIMED:
            section.attempt(f"{title}, {precision}", partial(_product, shape, precision))


def _driver() -> list[str]:
    said = subprocess.run(
        ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem", "--format=csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip().splitlines()


def _device() -> dict[str, Any]:
    device = jax.devices()[0]
    versions: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "platform": device.platform,
        "kind": device.device_kind,
        "count": jax.local_device_count(),
        "backend": str(getattr(device.client, "platform_version", "")),
        "memory": {k: v for k, v in (device.memory_stats() or {}).items() if "limit" in k},
        "versions": versions,
    }


def _default_precision() -> dict[str, Any]:
    """‖error‖ / ‖product‖ of a float32 product against float64: near 1e-7 float32, 3e-4 tf32, 3e-3 bfloat16."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 512, 512))
    exact = a.astype(np.float32).astype(float) @ b.astype(np.float32).astype(float)
    errors = {}
    for precision in PRECISIONS:
        with jax.default_matmul_precision(precision):
            product = np.asarray(jax.jit(jnp.matmul)(a.astype(np.float32), b.astype(np.float32)), float)
        errors[precision or "default"] = float(np.linalg.norm(product - exact) / np.linalg.norm(exact))
    return {"setting": str(jax.config.values["jax_default_matmul_precision"]), "errors": errors}


def _product(shape: tuple[int, int, int, int], precision: str) -> dict[str, float]:
    """TFLOP/s of a batch of products, one after another in one program."""
    lanes, rows, inner, columns = shape
    keys = jax.random.split(jax.random.key(0), 2)
    a = jax.random.normal(keys[0], (lanes, rows, inner))
    b = jax.random.normal(keys[1], (lanes, inner, columns))
    with jax.default_matmul_precision(precision):
        run = jax.jit(lambda a, b: a @ b).lower(a, b).compile()
    seconds = _seconds(lambda: run(a, b), 0.3)
    return {"us": 1e6 * seconds, "tflops": 2.0 * lanes * rows * inner * columns / seconds / 1e12}


def _copy(elements: int) -> dict[str, float]:
    """GB/s, read and written bytes together."""
    x = jax.random.normal(jax.random.key(0), (elements,))
    run = jax.jit(lambda x: x + 1.0).lower(x).compile()
    seconds = _seconds(lambda: run(x), 0.5)
    return {"ms": 1e3 * seconds, "gb_per_second": 2 * 4 * elements / seconds / 1e9}


def _turn(static: bool) -> dict[str, float]:
    """Microseconds of a turn of a loop whose body is two small products: what it costs to start work at all."""
    x = jnp.eye(128)
    turns = 1000

    def loop(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, turns if static else n, lambda _, x: jnp.tanh(jnp.tanh(x @ x) @ x), x)

    run = jax.jit(loop).lower(x, np.int32(turns)).compile()
    return {"us": 1e6 * _seconds(lambda: run(x, np.int32(turns)), 0.3) / turns}


def _seconds(call: Any, budget: float) -> float:
    """Of a call, when several are queued: the fastest of three rounds."""
    jax.block_until_ready(call())
    begun = time.perf_counter()
    jax.block_until_ready(call())
    calls = max(3, min(500, int(budget / 3 / max(time.perf_counter() - begun, 1e-6))))
    rounds = []
    for _ in range(3):
        begun = time.perf_counter()
        results = [call() for _ in range(calls)][-1]
        jax.block_until_ready(results)
        rounds.append((time.perf_counter() - begun) / calls)
    return min(rounds)
