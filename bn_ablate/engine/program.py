"""The static part of a group of lanes: everything that shapes its compiled program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from bn_ablate.config.lane import LaneSettings
from bn_ablate.nn import NETWORKS, Network, Structure

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """What is the same for all lanes of a compiled program; hashable, and hence a static argument.

    Attributes:
        architecture: name of the network.
        depth: hidden blocks.
        width: units of a block.
        image_shape: height, width, channels.
        classes: logits.
        kernel_init: name of the initializer.
        precision: of the network's arithmetic, see `at_precision`.
        native: leave convolutions and kernels' gradients to XLA, not to the products that are faster on CPU.
        structure: the placements and activations that its lanes choose from.
        drops: whether any lane drops units; if none does, no random bits are drawn.
        decays: whether any lane has weight decay.
        freezes: whether any lane leaves some parameters as they begin.
        optimizer, momentum, nesterov, schedule, warmup_steps, steps: the optimization.
        batch_size: examples in a training batch.
        probe: examples, at most, for the measures by layer.
        eval_batch: examples in an evaluation pass.
        also: measures that the study asked for.
    """

    architecture: str
    depth: int
    width: int
    image_shape: tuple[int, ...]
    classes: int
    kernel_init: str
    precision: str
    native: bool
    structure: Structure
    drops: bool
    decays: bool
    freezes: bool
    optimizer: str
    momentum: float
    nesterov: bool
    schedule: str
    warmup_steps: int
    steps: int
    batch_size: int
    probe: int
    eval_batch: int
    also: tuple[str, ...] = ()

    @property
    def network(self) -> Network:
        """The Flax module."""
        return NETWORKS[self.architecture](
            depth=self.depth,
            width=self.width,
            classes=self.classes,
            structure=self.structure,
            kernel_init=self.kernel_init,
            dtype=jnp.dtype("float32" if self.precision == "tensorfloat32" else self.precision),
            native=self.native,
        )

    @property
    def noise_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of one training step's random bits, block by block, then the input; none where no lane drops."""
        return self.network.noise_shapes(self.batch_size, self.image_shape) if self.drops else ()

    @property
    def matmul_precision(self) -> str:
        """Of products and convolutions, as `jax.default_matmul_precision` has it.

        JAX's own default rounds the factors of float32 products to TF32 on GPUs, and to bfloat16 on TPUs.
        """
        return {"tensorfloat32": "tensorfloat32", "bfloat16": "default"}.get(self.precision, "highest")


def at_precision(function: Callable[Concatenate[Program, P], T]) -> Callable[Concatenate[Program, P], T]:
    """`function(program, …)` with its products and convolutions at the program's precision, whatever JAX's default."""

    @wraps(function)
    def traced(program: Program, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with jax.default_matmul_precision(program.matmul_precision):
            return function(program, *args, **kwargs)

    return traced


def program_of(
    settings: list[LaneSettings], image_shape: tuple[int, ...], classes: int, platform: str = "cpu"
) -> Program:
    """The program that trains lanes with these settings, which agree in all that is static."""
    first = settings[0]
    native = {"auto": platform != "cpu", "matmul": False, "native": True}[first.model.convolution]
    return Program(
        architecture=first.model.architecture,
        depth=first.model.depth,
        width=first.model.width,
        image_shape=image_shape,
        classes=classes,
        kernel_init=first.model.kernel_init,
        precision=first.train.precision,
        native=native,
        structure=Structure.of(settings),
        drops=any(s.dropout.rate > 0 for s in settings),
        decays=any(s.train.weight_decay > 0 for s in settings),
        freezes=any(s.train.trainable != "all" for s in settings),
        optimizer=first.train.optimizer,
        momentum=first.train.momentum,
        nesterov=first.train.nesterov,
        schedule=first.train.schedule,
        warmup_steps=first.train.warmup_steps,
        steps=first.train.steps,
        batch_size=first.train.batch_size,
        probe=first.measure.probe,
        eval_batch=first.measure.eval_batch,
        also=first.measure.also,
    )
