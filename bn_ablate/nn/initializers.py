"""Initializers of kernels, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax.linen import initializers

INITIALIZERS: dict[str, Callable[[], Any]] = {
    "lecun_normal": initializers.lecun_normal,
    "lecun_uniform": initializers.lecun_uniform,
    "glorot_normal": initializers.glorot_normal,
    "glorot_uniform": initializers.glorot_uniform,
    "he_normal": initializers.he_normal,
    "he_uniform": initializers.he_uniform,
    "orthogonal": initializers.orthogonal,
}
"""He et al. 2015 for ReLU, Glorot & Bengio 2010 for tanh, LeCun et al. 1998; `orthogonal` after Saxe et al. 2014."""
