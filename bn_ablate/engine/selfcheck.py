"""Whether a device computes what the CPU computes: a tiny grid trained on both, and the numbers compared.

Compilers have their own faults: under `scan` and `vmap` together, some versions of JAX gave wrong results on GPUs
(jax #36958), and there `vmap` and `map` may differ (jax #31919). No shape or loss need look wrong then.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, PartitionSpec

from bn_ablate.config.lane import LaneSettings
from bn_ablate.config.network_keys import Model
from bn_ablate.config.training_keys import Train
from bn_ablate.engine.compiling import compiler_options, hastily
from bn_ablate.engine.devices import DeviceError
from bn_ablate.engine.lanewise import Strategy, each_lane
from bn_ablate.engine.many_lanes import advance
from bn_ablate.engine.program import Program, program_of
from bn_ablate.engine.train import Batch, TrainState, init_state
from bn_ablate.nn import Factors, stack_factors

TOLERANCE = 1e-3
"""How far a device's parameters, moving statistics and losses may lie from the CPU's, relative to their L2 norm."""

PRODUCTS_TOLERANCE = 1e-2
"""The same of one matrix product: bfloat16 factors, which TPUs take float32 for, are off by some 2e-3, TF32 by 3e-4."""

ENLARGED = 30.0
"""How many times its rounding of products a device's training may be off, where that is more than `TOLERANCE`."""

STEPS, BATCH, IMAGE, CLASSES, SEEDS_EACH = 8, 16, (6, 6, 1), 3, 2

_BASE = LaneSettings(
    model=Model(architecture="cnn", depth=2, width=4),
    train=Train(steps=STEPS, batch_size=BATCH, learning_rate=0.05, weight_decay=0.01),
)
CELLS = [
    _BASE.at({"placement": placement, "activation": activation, "dropout_rate": rate})
    for placement in ("none", "pre", "post")
    for activation in ("tanh", "silu")  # without a kink, at which rounding would decide
    for rate in (0.0, 0.25)
]
"""What is trained: a convolution and a Dense block, BN before, after and without, two activations, dropout."""


class DeviceCheck(NamedTuple):
    """What came of the check of a kind of device; all differences are relative L2 norms.

    Attributes:
        platform, device: of the devices, as JAX calls them.
        devices: how many there are; each trained lanes of its own.
        versions: of JAX, of jaxlib, and of the platform's compiler and driver.
        strategy, at_once: how the lanes were trained.
        lanes: how many there were.
        products: of a matrix product from the same in float64: how the device rounds.
        tolerance: the most that the other three may be.
        parameters, statistics, loss: of the lane that differs most from the same lane on the CPU, by leaf.
        worst: that lane, in words.
        seconds: what the check took.
    """

    platform: str
    device: str
    devices: int
    versions: tuple[str, ...]
    strategy: Strategy
    at_once: int
    lanes: int
    products: float
    tolerance: float
    parameters: float
    statistics: float
    loss: float
    worst: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every difference is a number within its tolerance."""
        trained = max(self.parameters, self.statistics, self.loss)  # a difference that is no number was made infinite
        return self.products <= PRODUCTS_TOLERANCE and trained <= self.tolerance

    @property
    def said(self) -> str:
        """The numbers, in a sentence."""
        return (
            f"products are off by {self.products:.1e} ({PRODUCTS_TOLERANCE:.0e} is tolerated); of {self.lanes} small "
            f"networks, trained with {self.strategy} there and lane by lane on the CPU, parameters differ by "
            f"{self.parameters:.1e}, moving statistics by {self.statistics:.1e}, losses by {self.loss:.1e} "
            f"({self.tolerance:.0e} is tolerated), most for {self.worst}"
        )


def check_devices(strategy: Strategy, devices: list[jax.Device] | None = None, at_once: int = 1) -> DeviceCheck:
    """Train a tiny grid by `strategy` on `devices` (all local ones when not given) and lane by lane on the CPU.

    The grid is `CELLS`, at seeds of its own on every device. Data, initial states and random bits come from the host,
    the same for both.

    Raises:
        DeviceError: JAX has no CPU here to compare with.
    """
    begun = time.perf_counter()
    devices = devices or jax.local_devices()
    at_once = min(at_once, len(CELLS))
    cells = CELLS + CELLS[-1:] * (-len(CELLS) % at_once)
    cpu = _cpu()
    n_seeds = SEEDS_EACH * len(devices)
    program = program_of(cells, IMAGE, CLASSES, devices[0].platform)
    factors = stack_factors(cells, program.structure)
    given = factors, _batches(program, n_seeds), _initial(program, n_seeds, len(cells))
    with ThreadPoolExecutor(1) as beside:  # most of the time is compiling
        reference = beside.submit(_trained, replace(program, native=True), "map", [cpu], 1, hastily(), *given)
        got = _trained(program, strategy, devices, at_once, compiler_options(devices[0]), *given)
        want = reference.result()
    by_lane = {
        "parameters": _differences(got.params, want.params),
        "statistics": _differences(got.batch_stats, want.batch_stats),
        "loss": _differences(got.loss_sum, want.loss_sum),
    }
    seed, cell = np.unravel_index(np.argmax(np.max(list(by_lane.values()), 0)), (n_seeds, len(cells)))
    with jax.default_matmul_precision(program.matmul_precision):
        products = _product_difference(devices[0])
    return DeviceCheck(
        platform=devices[0].platform,
        device=devices[0].device_kind,
        devices=len(devices),
        versions=versions_of(devices[0]),
        strategy=strategy,
        at_once=at_once,
        lanes=n_seeds * len(CELLS),
        products=products,
        tolerance=max(TOLERANCE, ENLARGED * min(products, PRODUCTS_TOLERANCE)),
        worst=f"{_described(cells[cell])} on device {devices[seed // SEEDS_EACH].id}",
        seconds=round(time.perf_counter() - begun, 3),
        **{name: float(some.max()) for name, some in by_lane.items()},
    )


def versions_of(device: jax.Device) -> tuple[str, ...]:
    """The versions of JAX, of jaxlib, and of the compiler and driver of `device`."""
    return version("jax"), version("jaxlib"), " ".join(device.client.platform_version.split())


def _cpu() -> jax.Device:
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        asked = os.environ.get("JAX_PLATFORMS", jax.default_backend())
        raise DeviceError(
            f"a new device is compared with the CPU, which JAX was started without ({error}); set "
            f"JAX_PLATFORMS={asked},cpu"
        ) from None


def _described(cell: LaneSettings) -> str:
    return f"placement {cell.norm.placement}, activation {cell.model.activation}, dropout {cell.dropout.rate:g}"


def _words(purpose: int, *shape: int) -> np.ndarray:
    """16 random bits for each element."""
    key = np.array([0, purpose], np.uint64)
    return (np.random.Philox(key=key).random_raw(math.prod(shape)) >> np.uint64(48)).astype(np.uint16).reshape(shape)


def _uniform(purpose: int, *shape: int) -> np.ndarray:
    """Random numbers from −1 to 1, float32."""
    return _words(purpose, *shape).astype(np.float32) / 2**15 - 1


def _batches(program: Program, n_seeds: int) -> Batch:
    """Noise with a bright pixel where the class is; leading axes (seeds, steps)."""
    labels = _words(0, n_seeds, STEPS, BATCH).astype(np.int32) % CLASSES
    images = _uniform(1, n_seeds, STEPS, BATCH, *IMAGE)
    images[..., 0, :CLASSES, 0] += 2.0 * np.eye(CLASSES, dtype=np.float32)[labels]
    noise = tuple(_words(2 + i, n_seeds, STEPS, *shape) for i, shape in enumerate(program.noise_shapes))
    return Batch(images, labels, noise)  # type: ignore[arg-type]


def _initial(program: Program, n_seeds: int, n_cells: int) -> TrainState:
    """States before the first step, leading axes (seeds, cells): kernels are the same for all cells of a seed.

    They are made on the host, of the shapes that `init_state` would give, to have one program less to compile.
    """
    zeros = jax.tree.map(
        lambda leaf: np.zeros((n_seeds, n_cells, *leaf.shape), leaf.dtype),
        jax.eval_shape(partial(init_state, program), 0),
    )

    def begin(path: tuple[Any, ...], leaf: np.ndarray) -> np.ndarray:
        match path[-1].key:
            case "scale" | "var":
                return np.ones_like(leaf)
            case "kernel":
                _, _, *shape = leaf.shape
                drawn = _uniform(sum(map(ord, str(path))), n_seeds, 1, *shape)
                return np.broadcast_to(drawn * np.sqrt(3 / math.prod(shape[:-1]), dtype=np.float32), leaf.shape)
        return leaf

    params, stats = (jax.tree.map_with_path(begin, tree) for tree in (zeros.params, zeros.batch_stats))
    started: TrainState = zeros._replace(params=params, batch_stats=stats, diverged_at=zeros.diverged_at - 1)
    return started


def _trained(
    program: Program,
    strategy: Strategy,
    devices: list[jax.Device],
    at_once: int,
    options: Mapping[str, bool | int],
    factors: Factors,
    batches: Batch,
    states: TrainState,
) -> TrainState:
    """The states after `STEPS` steps, as host arrays, compiled with `options`; seeds are divided over the devices."""

    def all_lanes(batches: Batch, factors: Factors, states: TrainState) -> TrainState:
        def one_lane(batches: Batch, factors: Factors, _: None, state: TrainState) -> tuple[TrainState, None]:
            return advance(program, STEPS, batches, factors, state), None

        return each_lane(strategy, at_once, lambda some: some, one_lane, (batches,), factors, None, states)[0]  # type: ignore[no-any-return]

    mesh = Mesh(np.asarray(devices), ("lanes",), axis_types=(AxisType.Auto,))
    divided, whole = PartitionSpec("lanes"), PartitionSpec()
    sharded = jax.shard_map(
        all_lanes, mesh=mesh, in_specs=(divided, whole, divided), out_specs=divided, check_vma=False
    )
    return jax.tree.map(np.asarray, jax.jit(sharded, compiler_options=dict(options))(batches, factors, states))  # type: ignore[no-any-return]


def _differences(got: Any, want: Any) -> np.ndarray:
    """(seeds, cells): ‖got − want‖ / ‖want‖ of the leaf that differs most; infinite where it is no number."""
    found = []
    for some, others in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        there = others.astype(np.float64).reshape(*others.shape[:2], -1)
        off = np.linalg.norm(some.reshape(there.shape) - there, axis=-1)
        size = np.linalg.norm(there, axis=-1)
        found.append(np.where(off == 0.0, 0.0, off / np.where(size == 0.0, np.finfo(float).tiny, size)))
    worst = np.max(found, 0)
    return np.where(np.isfinite(worst), worst, np.inf)


def _product_difference(device: jax.Device) -> float:
    """How far a float32 product of this device is from that in float64."""
    a, b = _uniform(1, 2, 64, 64) * _uniform(2, 2, 64, 64)  # of more bits than one of them
    product = jax.jit(jnp.matmul, compiler_options=compiler_options(device))
    got = np.asarray(product(*jax.device_put((a, b), device)), np.float64)
    want = a.astype(np.float64) @ b.astype(np.float64)
    off = float(np.linalg.norm(got - want) / np.linalg.norm(want))
    return off if np.isfinite(off) else np.inf
