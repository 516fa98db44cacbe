"""What may stand before the first linear map: Batch Normalization and dropout of the network's input."""

from __future__ import annotations

from jaxtyping import Array, Float, UInt16

from bn_ablate.nn.dropout import drop, rate_at
from bn_ablate.nn.norm import BatchNorm
from bn_ablate.nn.structure import Structure
from bn_ablate.nn.traced import Factors


def enter(
    structure: Structure,
    x: Float[Array, "batch ..."],
    factors: Factors,
    noise: tuple[UInt16[Array, "batch ..."], ...] | None,
    *,
    train: bool,
) -> Float[Array, "batch ..."]:
    """[BN] -> [dropout] of the network's input; to be called by a network, whose submodule `input_norm` it makes.

    `LaneSettings.input_normed` says where BN is there; dropout is for site `ic`. The random bits of the input stand
    behind those of the blocks in `noise`.
    """
    if structure.input_normed != "none":
        x = BatchNorm(structure.norm_batch_size, name="input_norm")(x, factors.input_norm(structure), train=train)
    applies = {"block": False, "last": False, "before_norm": False, "ic": True}
    rate = rate_at(structure.drop_sites, factors.dropout_site, factors.dropout_rate, applies)
    if rate is None or noise is None:
        return x
    return drop(x, rate, noise[-1], structure.drop_kinds, factors.dropout_kind)


def input_noise(structure: Structure, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """The shape of the input's random bits, where some lane needs them: none or one."""
    return (shape,) if "ic" in structure.drop_sites else ()
