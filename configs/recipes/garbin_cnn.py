"""The network of `garbin_cnn.toml`: two stages of two convolutions, each pooled, and a dense layer of 512 units."""

from __future__ import annotations

import bn_ablate as bn


@bn.network("garbin_cnn", "CNN of Garbin et al.")
def garbin_cnn(image: tuple[int, ...], depth: int, width: int) -> bn.NetworkSpec:
    """C32 C32 P C64 C64 P D512 for a width of 32, with zeros around all convolutions."""
    if depth != 5:
        raise ValueError(f"= {depth} does not fit garbin_cnn, which has 5 blocks")
    stages = [(width, False), (width, True), (2 * width, False), (2 * width, True)]
    convolutions = (bn.BlockSpec("conv3x3", channels, pool=pool) for channels, pool in stages)
    return bn.NetworkSpec((*convolutions, bn.BlockSpec("dense", 16 * width)))
