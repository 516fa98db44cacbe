"""PyTorch in one process or several, each training its part of a case on so many threads."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import time
from abc import ABC, abstractmethod
from multiprocessing.connection import Connection

import numpy as np
import torch

from benching.cases import Case
from benching.protocol import Peer, Ready, Timed, peak_bytes, share, steps_within


class Trainer(ABC):
    """Trains every n-th part of a case.

    Attributes:
        lanes: how many lanes that is.
        form: which of several ways of doing the same it settled on.
    """

    lanes: int
    form: str = ""

    @abstractmethod
    def __init__(self, case: Case, path: str, part: slice) -> None:
        """Take that part of the case, whose examples are at `path`."""

    @abstractmethod
    def train(self, n_steps: int) -> tuple[float, float]:
        """Train each lane for some steps; return the seconds, and the mean batch loss of the lanes in the sample."""


def batches_of(case: Case, path: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every batch, cut beforehand and on the device: flat for an MLP, channels first for a CNN."""
    device = torch.get_default_device()
    with np.load(path) as arrays:
        x, y = torch.from_numpy(arrays["x"]).to(device), torch.from_numpy(arrays["y"]).long().to(device)
        positions = torch.from_numpy(arrays["positions"]).long().to(device)
    x = x.permute(0, 3, 1, 2) if case.architecture == "cnn" else x.flatten(1)
    return [(x[at].contiguous(), y[at]) for at in positions]


def seconds_since(begun: float) -> float:
    """Seconds since `begun`, once the device has done all that it was given."""
    if torch.get_default_device().type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


class Crew(Peer):
    """A case dealt out to so many processes, this one among them; or, by one process, to another device.

    With `tf32` the float32 products of a GPU that has it are in tf32, which is JAX's default and not PyTorch's.
    """

    def __init__(
        self,
        kind: type[Trainer],
        case: Case,
        path: str,
        round_seconds: float,
        processes: int,
        threads: int,
        device: str = "cpu",
        tf32: bool = False,
    ) -> None:
        torch.set_default_device(device)
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        self._case = case
        self._round_seconds = round_seconds
        self._n_steps = case.steps
        self._helpers: list[Connection] = []
        spawn = multiprocessing.get_context("spawn")
        for i in range(1, processes):
            here, there = spawn.Pipe()
            part = slice(i, None, processes)
            spawn.Process(target=_help, args=(there, kind, case, path, part, threads), daemon=True).start()
            there.close()  # so that a helper which dies ends the pipe
            self._helpers.append(here)
        torch.set_num_threads(threads)
        self._trainer = kind(case, path, slice(0, None, processes))
        self._lanes = self._trainer.lanes + sum(helper.recv() for helper in self._helpers)

    def set_up(self) -> Ready:
        """Warm up, and settle for how many steps a round trains."""
        self._train(2)
        seconds, _ = self._train(2)
        self._n_steps = steps_within(self._round_seconds, seconds / 2, self._case.steps)
        return Ready(share(self._lanes, self._case.n_lanes, self._n_steps, self._case.steps), form=self._trainer.form)

    def round(self) -> Timed:
        """Train."""
        seconds, _ = self._train(self._n_steps)
        return Timed(self._lanes * self._n_steps, seconds)

    def check(self) -> float:
        """See `Peer`."""
        return self._train(self._case.steps)[1]

    def peak_bytes(self) -> int:
        """Of all processes together."""
        for helper in self._helpers:
            helper.send(0)
        others: list[int] = [helper.recv() for helper in self._helpers]
        return peak_bytes() + sum(others)

    def _train(self, n_steps: int) -> tuple[float, float]:
        """Seconds and loss, averaged over the processes: as if the work were dealt out evenly to the last step."""
        for helper in self._helpers:
            helper.send(n_steps)
        results = [self._trainer.train(n_steps), *[helper.recv() for helper in self._helpers]]
        seconds, losses = zip(*results, strict=True)
        return statistics.mean(seconds), statistics.mean(losses)


def _help(parent: Connection, kind: type[Trainer], case: Case, path: str, part: slice, threads: int) -> None:
    """What another process does: train for so many steps, or tell its memory when they are 0; until the pipe closes."""
    torch.set_num_threads(threads)
    trainer = kind(case, path, part)
    parent.send(trainer.lanes)
    with contextlib.suppress(EOFError):
        while True:
            n_steps = parent.recv()
            parent.send(trainer.train(n_steps) if n_steps else peak_bytes())
