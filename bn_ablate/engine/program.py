"""The static part of a group of lanes: everything that shapes its compiled program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import jax
import jax.numpy as jnp

from bn_ablate.config.architectures import Shape
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.lane import LaneSettings, Own, of_program
from bn_ablate.config.network_keys import Model
from bn_ablate.config.training_keys import Measure, Train
from bn_ablate.engine.randomness import NOISES
from bn_ablate.nn import Network, Structure, make_network

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Program:
    """What is the same for all lanes of a compiled program; hashable, and hence a static argument.

    Attributes:
        model, train, measure: their static settings; what is traced stands at its default.
        image_shape: height, width, channels.
        classes: logits.
        native: leave convolutions and kernels' gradients to XLA, not to the products that are faster on CPU.
        structure: the placements and activations that its lanes choose from.
        drops: whether any lane drops units; if none does, no random bits are drawn.
        decays, decays_more: whether any lane has weight decay, and whether any on more than kernels.
        smooths, clips: whether any lane smooths labels, or clips gradients.
        freezes: whether any lane leaves some parameters as they begin.
        own: the parts of a user's own that its lanes use.
        augment, augment_size: what is done to training images, and its size in pixels (0 where it has none).
    """

    model: Model
    train: Train
    measure: Measure
    image_shape: tuple[int, ...]
    classes: int
    native: bool
    structure: Structure
    drops: bool
    decays: bool
    freezes: bool
    decays_more: bool = False
    smooths: bool = False
    clips: bool = False
    own: tuple[Own, ...] = ()
    augment: str = "none"
    augment_size: int = 0

    @property
    def network(self) -> Network:
        """The Flax module."""
        dtype = jnp.dtype("float32" if self.train.precision == "tensorfloat32" else self.train.precision)
        return make_network(self.model, self.image_shape, self.classes, self.structure, self.native, dtype)

    @property
    def fits(self) -> bool:
        """Whether kernels start from what layers give of the first training batch."""
        return self.model.kernel_init == "lsuv"

    @property
    def residuals(self) -> tuple[int, ...]:
        """The blocks in which a shortcut is added before or after BN."""
        return self.model.layout(self.image_shape, self.classes).residuals

    @property
    def noise_shapes(self) -> tuple[Shape, ...]:
        """The shapes of one training step's random bits: block by block, then, where a lane needs them, the input's."""
        layout = self.model.layout(self.image_shape, self.classes)
        shapes = [layer.output for layer in layout.layers] + [layout.entry] * ("ic" in self.structure.drop_sites)
        return tuple((self.train.batch_size, *shape) for shape in shapes)

    @property
    def noises(self) -> tuple[str, ...]:
        """The keys of `norm` that put noise on what some lane's normalizers give."""
        return tuple(key for key in NOISES if key in self.structure.choices)

    @property
    def channels(self) -> tuple[tuple[str, int], ...]:
        """Of each normalizer, the block that it is in, and its channels."""
        layout = self.model.layout(self.image_shape, self.classes)
        of_input = [("input_norm", layout.entry[-1])] * (self.structure.input_normed != "none")
        return (*((f"block_{i}", layer.output[-1]) for i, layer in enumerate(layout.layers)), *of_input)

    @property
    def matmul_precision(self) -> str:
        """Of products and convolutions, as `jax.default_matmul_precision` has it.

        JAX's own default rounds the factors of float32 products to TF32 on GPUs, and to bfloat16 on TPUs.
        """
        return {"tensorfloat32": "tensorfloat32", "bfloat16": "default"}.get(self.train.precision, "highest")


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
    first = of_program(settings).at({name: factor.default for name, factor in FACTORS.items() if factor.traced})
    return Program(
        model=first.model,
        train=first.train,
        measure=first.measure,
        image_shape=image_shape,
        classes=classes,
        native={"auto": platform != "cpu", "matmul": False, "native": True}[first.model.convolution],
        structure=Structure.of(settings),
        drops=any(s.dropout.rate > 0 for s in settings),
        decays=any(s.train.weight_decay > 0 for s in settings),
        freezes=any(s.train.trainable != "all" for s in settings),
        decays_more=any(s.train.weight_decay > 0 and s.train.decay_on != "kernels" for s in settings),
        smooths=any(s.train.label_smoothing > 0 for s in settings),
        clips=any(s.train.clip_norm > 0 for s in settings),
        own=tuple(sorted({own for lane in settings for own in lane.own})),
        augment=first.data.augment,
        augment_size=first.data.pixels(image_shape[0]),
    )
