"""PyTorch as its tutorials use it: an `nn.Module` and `SGD`, one network after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benching.cases import Case, Lane
from benching.peers.torch_crew import Crew, Trainer, batches_of, seconds_since

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
}


def make_network(case: Case, lane: Lane, image: torch.Size) -> nn.Sequential:
    """The network of one lane for images of this shape, its kernels drawn as Flax draws them."""
    modules: list[nn.Module] = []
    placement, activation = lane.structure
    bias = placement != "pre"
    channels, pixels = image[0], image[1:].numel()  # of a flat image: its features, and 1
    for layer in case.layers:
        conv = layer.kind == "conv"
        if conv:
            modules.append(nn.Conv2d(channels, layer.units, 3, padding=1, bias=bias))
        else:
            modules += [nn.Flatten(), nn.Linear(channels * pixels, layer.units, bias=bias)]
            pixels = 1
        norm = (nn.BatchNorm2d if conv else nn.BatchNorm1d)(layer.units, momentum=1.0 - case.bn_momentum)
        modules += [norm] if placement == "pre" else []
        modules.append(ACTIVATIONS[activation]())
        modules += [norm] if placement == "post" else []
        modules += [nn.Dropout(lane.rate)] if lane.rate else []
        if layer.pooled:
            modules.append(nn.MaxPool2d(2))
            pixels //= 4
        channels = layer.units
    modules.append(nn.Linear(channels, 10))
    for module in modules:
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return nn.Sequential(*modules)


class EagerTrainer(Trainer):
    """The lanes of the sample, one after another."""

    def __init__(self, case: Case, path: str, part: slice) -> None:
        self._case = case
        self._sample = case.sample()[part]
        self.lanes = len(self._sample)
        # oneDNN convolves faster with the channels last
        self._format = torch.channels_last if case.architecture == "cnn" else torch.contiguous_format
        self._batches = [(x.contiguous(memory_format=self._format), y) for x, y in batches_of(case, path)]

    def train(self, n_steps: int) -> tuple[float, float]:
        """See `Trainer`."""
        networks = [self._make(lane) for lane in self._sample]
        total = torch.zeros(())
        begun = time.perf_counter()
        for network in networks:
            # fused: SGD's default on CPU is a loop over the parameters
            tx = torch.optim.SGD(network.parameters(), self._case.learning_rate, self._case.momentum, fused=True)
            for x, y in self._batches[:n_steps]:
                tx.zero_grad()
                loss = nn.functional.cross_entropy(network(x), y)
                loss.backward()
                tx.step()
                total += loss.detach()
        return seconds_since(begun), float(total) / len(networks) / n_steps

    def _make(self, lane: Lane) -> nn.Module:
        torch.manual_seed(lane.seed)
        return make_network(self._case, lane, self._batches[0][0].shape[1:]).to(memory_format=self._format)


def make(case: Case, examples: str, **options: Any) -> Crew:
    """See `benching.serve`."""
    return Crew(EagerTrainer, case, examples, **options)
