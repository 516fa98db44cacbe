"""The networks, by name."""

from __future__ import annotations

from collections.abc import Callable

from bn_ablate.nn.cnn import CNN
from bn_ablate.nn.mlp import MLP
from bn_ablate.nn.resnet import ResNet

Network = MLP | CNN | ResNet

NETWORKS: dict[str, Callable[..., Network]] = {
    "mlp": MLP,
    "cnn": CNN,
    "resnet": ResNet,
}
"""Each takes `depth`, `width`, `classes`, `structure`, `kernel_init`, `dtype` and `native`."""
