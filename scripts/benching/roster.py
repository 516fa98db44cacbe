"""The peers: what each is called, where it is written, and how it is to be run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from benching.cases import Case


@dataclass(frozen=True)
class Entry:
    """A peer as the tables name it.

    Attributes:
        name: as on the command line.
        title: as in the tables.
        module: of `benching.peers`.
        options: what its `make` takes besides the case.
        group: the letter that the comparison goes by; the best of a group stands for it. Ours have none.
        torch: runs in the environment that has PyTorch.
        mlp_only: why it sits out convolutional networks; empty when it does not.
        whole_only: takes part only in cases that are run whole.
    """

    name: str
    title: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    torch: bool = False
    mlp_only: str = ""
    whole_only: bool = False


def _ours(strategy: str, at_once: int = 1) -> dict[str, Any]:
    return {"strategy": strategy, "at_once": at_once, "devices": None}


def _torch(processes: int, threads: int) -> dict[str, Any]:
    return {"processes": processes, "threads": threads}


OURS = Entry("ours", "**bn_ablate**, `auto`", "ours", _ours("auto"))
ROSTER = (
    OURS,
    Entry("ours-map", "bn_ablate, `map`", "ours", _ours("map"), whole_only=True),
    Entry("ours-map-4", "bn_ablate, `map`, 4 lanes at a time", "ours", _ours("map", 4), whole_only=True),
    Entry("ours-vmap", "bn_ablate, `vmap`", "ours", _ours("vmap"), whole_only=True),
    Entry("torch-1x1", "(a) PyTorch eager, 1 thread", "torch_eager", _torch(1, 1), "a", torch=True),
    Entry("torch-1x2", "(a) PyTorch eager, 2 threads", "torch_eager", _torch(1, 2), "a", torch=True),
    Entry("torch-2x1", "(a) PyTorch eager, 2 processes", "torch_eager", _torch(2, 1), "a", torch=True),
    Entry("stacked-1x1", "(b) PyTorch stacked, 1 thread", "torch_stacked", _torch(1, 1), "b", torch=True),
    Entry("stacked-1x2", "(b) PyTorch stacked, 2 threads", "torch_stacked", _torch(1, 2), "b", torch=True),
    Entry("stacked-2x1", "(b) PyTorch stacked, 2 processes", "torch_stacked", _torch(2, 1), "b", torch=True),
    Entry("flax", "(c) Flax, jitted step", "flax_loop", group="c"),
    Entry(
        "scan",
        "(d) JAX, scanned training",
        "jax_scan",
        group="d",
        mlp_only="left out, since XLA's convolution on CPU is more than ten times slower inside a scan than outside",
    ),
    Entry("matmul", "(e) matrix products alone", "matmul", group="e"),
)
PEERS = {entry.name: entry for entry in ROSTER}
FEW = ("ours", "torch-1x1", "stacked-1x1", "flax", "scan", "matmul")
"""One of each kind, for a quick run."""


def entrants(names: Collection[str], case: Case) -> list[Entry]:
    """The peers so named that `case` is for, ours first: all others are held against it."""
    return [OURS, *(e for e in ROSTER if e.name in names and e is not OURS and (case.whole or not e.whole_only))]
