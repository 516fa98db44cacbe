"""The limit: the matrix products of the network alone, forward, backward and plain update, in the best form found."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from benching.cases import Case
from benching.protocol import Peer, Ready, Timed, share, steps_within
from bn_ablate.engine import set_up
from bn_ablate.nn.dense import transposed_product

CLASSES = 10
Form = Literal["lane by lane", "all at once", "lane by lane, transposed"]
"""Lanes in turn or together; and, in turn, with the gradients of kernels as products along a last axis."""


class Product(NamedTuple):
    """(rows, inner) × (inner, columns): a Dense layer, or a convolution written as a matrix product."""

    rows: int
    inner: int
    columns: int


def products_of(case: Case, image_shape: tuple[int, ...]) -> Iterator[Product]:
    """The product of each layer, first to last."""
    height, width, channels = image_shape
    for layer in case.layers:
        if layer.kind == "conv":
            yield Product(case.batch_size * height * width, 9 * channels, layer.units)
        else:
            yield Product(case.batch_size, height * width * channels, layer.units)
            height, width = 1, 1
        channels = layer.units
        if layer.pooled:
            height, width = height // 2, width // 2
    yield Product(case.batch_size, height * width * channels, CLASSES)


def run_lane(inputs: list[jax.Array], kernels: list[jax.Array], n_steps: jax.Array, *, transposed: bool) -> Any:
    """Steps of one lane: for each layer y = x·w, and with y in the gradient's place x'·y and (but for the first) y·w'.

    Everything depends on the kernels, which change, and everything is carried along; so no product can be left out.
    """

    def step(_: jax.Array, carry: tuple[list[jax.Array], list[jax.Array]]) -> tuple[list[jax.Array], list[jax.Array]]:
        weights = carry[0]
        outputs = [x @ w for x, w in zip(inputs, weights, strict=True)]
        back = [y @ w.T for w, y in zip(weights[1:], outputs[1:], strict=True)]
        gradient = transposed_product if transposed else lambda x, y: x.T @ y
        return [w - 1e-9 * gradient(x, y) for x, w, y in zip(inputs, weights, outputs, strict=True)], back

    kernels, back = lax.fori_loop(0, n_steps, step, (kernels, [jnp.zeros_like(x) for x in inputs[1:]]))
    return kernels, [b[0, 0] for b in back]


def all_lanes(form: Form, inputs: list[jax.Array], kernels: list[jax.Array], n_steps: jax.Array) -> Any:
    """Some steps of every lane; `kernels` have a leading axis of lanes."""
    one_lane = partial(run_lane, inputs, n_steps=n_steps, transposed=form == "lane by lane, transposed")
    return jax.vmap(one_lane)(kernels) if form == "all at once" else lax.map(one_lane, kernels)


class Matmul(Peer):
    """Lanes divided over the devices; on each of them in the form that is the fastest."""

    def __init__(self, case: Case, image_shape: tuple[int, ...], round_seconds: float) -> None:
        self._case = case
        self._round_seconds = round_seconds
        self._n_steps = case.steps
        rng = np.random.default_rng(0)

        def normal(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, np.float32)

        products = list(products_of(case, image_shape))
        self._inputs = [jnp.asarray(normal(p.rows, p.inner)) for p in products]
        lanes = -(-case.n_lanes // jax.local_device_count()) * jax.local_device_count()
        kernels = [
            np.broadcast_to(normal(p.inner, p.columns) / p.inner**0.5, (lanes, p.inner, p.columns)) for p in products
        ]
        self._kernels = [jnp.asarray(kernel) for kernel in kernels]
        self._program: Any = None

    def set_up(self) -> Ready:
        """Try the forms, and keep the fastest."""
        seconds: dict[Form, float] = {}
        programs: dict[Form, Any] = {}
        begun = time.perf_counter()
        for form in get_args(Form):
            programs[form] = self._compiled(form)
        compile_seconds = time.perf_counter() - begun
        for _ in range(2):
            for form, self._program in programs.items():
                seconds[form] = min(self._train(2).seconds / 2, seconds.get(form, math.inf))
        best = min(seconds, key=lambda form: seconds[form])
        self._program = programs[best]
        self._n_steps = steps_within(self._round_seconds, seconds[best], self._case.steps)
        return Ready(
            timed=share(self._case.n_lanes, self._case.n_lanes, self._n_steps, self._case.steps),
            compile_seconds=compile_seconds,
            programs=len(programs),
            programs_of_case=1,
            form=best,
        )

    def round(self) -> Timed:
        """Train nothing, at full speed."""
        return self._train(self._n_steps)

    def _compiled(self, form: Form) -> Any:
        lanes = PartitionSpec("lanes")
        divided = jax.shard_map(
            partial(all_lanes, form),
            mesh=jax.make_mesh((jax.local_device_count(),), ("lanes",), axis_types=(jax.sharding.AxisType.Auto,)),
            in_specs=(PartitionSpec(), lanes, PartitionSpec()),
            out_specs=lanes,
            check_vma=False,
        )
        return jax.jit(divided).lower(self._inputs, self._kernels, np.int32(0)).compile()

    def _train(self, n_steps: int) -> Timed:
        begun = time.perf_counter()
        jax.block_until_ready(self._program(self._inputs, self._kernels, np.int32(n_steps)))
        return Timed(self._case.n_lanes * n_steps, time.perf_counter() - begun)


def make(case: Case, examples: str, *, round_seconds: float, platform: Any) -> Matmul:
    """See `benching.serve`."""
    set_up(platform)
    with np.load(examples) as arrays:
        return Matmul(case, arrays["x"].shape[1:], round_seconds)
