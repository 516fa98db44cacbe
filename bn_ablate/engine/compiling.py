"""What XLA's compiler is asked for, and where."""

from __future__ import annotations

import os

import jax

LEVEL = "xla_backend_optimization_level"
"""XLA's option for how much LLVM optimizes."""

TRITON = "xla_gpu_enable_triton_gemm"
"""XLA's option for CUDA that lets it write matrix products in Triton and time them against those of cuBLAS."""


def hastily(flags: str | None = None) -> dict[str, int]:
    """How to compile what runs once: with few optimizations, or as many as `flags` (XLA_FLAGS) say."""
    return {} if LEVEL in _named(os.environ.get("XLA_FLAGS", "") if flags is None else flags) else {LEVEL: 1}


def compiler_options(device: jax.Device) -> dict[str, bool]:
    """How to compile what trains on `device`."""
    return options_for(str(device.client.platform_version), os.environ.get("XLA_FLAGS", ""))


def options_for(backend: str, flags: str) -> dict[str, bool]:
    """Without products in Triton where `backend` is CUDA; nothing elsewhere, or where `flags` name that option.

    Writing and timing them is half of the time of compiling for a GPU, or more, in float32. The main study (MLP 3×128,
    720 lanes, 400 steps) on an NVIDIA H200 with jaxlib 0.11.2: compiled in 25.9 s with them, as the first program on
    the machine (19.7 s in an earlier call, not as the first), and in 9.8 s without; 11.8 and 8.0 s in TF32. It trained
    in .72 and .77 s, .64 and .72 s. A convolutional network was not measured without them.

    Args:
        backend: a client's `platform_version`, of which a word is `cuda`, `rocm`, `cpu`, …
        flags: XLA_FLAGS, which a compiler option would override.
    """
    return {TRITON: False} if "cuda" in backend.lower().split() and TRITON not in _named(flags) else {}


def _named(flags: str) -> set[str]:
    """The options that XLA_FLAGS of this text give."""
    return {flag.lstrip("-").partition("=")[0] for flag in flags.split()}
