"""PyTorch with the lanes of a structure stacked: kernels with a leading axis of lanes, `baddbmm`, grouped convolutions.

`torch.func` (`stack_module_state`, and `vmap` of a functional call) comes down to the same batched products, and leaves
moving statistics and per-lane dropout to be written by hand as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 as everywhere

from benching.cases import Case, Layer, Structure
from benching.peers.torch_crew import Crew, Trainer, batches_of, seconds_since

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
}


class Form(NamedTuple):
    """Two ways to normalize, and two to drop, which give the same: what is faster depends on sizes and threads."""

    native_norm: bool
    drop_by_lane: bool


class StackedNetwork(nn.Module):  # type: ignore[misc]
    """The lanes of a structure: (lanes, batch, features) in Dense ones, before them (batch, lanes · channels, h, w)."""

    def __init__(self, case: Case, structure: Structure, image: torch.Size, form: Form) -> None:
        super().__init__()
        self._case = case
        self._structure = structure
        self._form = form
        self._rates = torch.tensor([lane.rate for lane in case.lanes_of(structure)])
        self._lanes = n = len(self._rates)
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        self.scales, self.shifts = nn.ParameterList(), nn.ParameterList()
        self._moving: list[tuple[Tensor, Tensor]] = []
        channels, pixels = image[0], image[1:].numel()  # of a flat image: its features, and 1
        for layer in case.layers:
            shape = (n * layer.units, channels, 3, 3) if layer.kind == "conv" else (n, channels * pixels, layer.units)
            fan_in = channels * (9 if layer.kind == "conv" else pixels)
            self.kernels.append(torch.randn(shape) / fan_in**0.5)
            if structure.placement != "pre":
                self.biases.append(torch.zeros(n, layer.units))
            if structure.placement != "none":
                self.scales.append(torch.ones(n, layer.units))
                self.shifts.append(torch.zeros(n, layer.units))
                self._moving.append((torch.zeros(n, layer.units), torch.ones(n, layer.units)))
            pixels = 1 if layer.kind == "dense" else pixels // 4 if layer.pooled else pixels
            channels = layer.units
        self.head, self.head_bias = (
            nn.Parameter(torch.randn(n, channels, 10) / channels**0.5),
            nn.Parameter(torch.zeros(n, 10)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The logits of every lane, (lanes, batch, 10), for one batch."""
        n, activate = self._lanes, ACTIVATIONS[self._structure.activation]
        x = x if self._case.architecture == "cnn" else x.expand(n, *x.shape)
        for i, layer in enumerate(self._case.layers):
            if layer.kind == "dense" and x.ndim == 4:
                x = x.view(len(x), n, -1).transpose(0, 1)
            x = self._linear(x, i, layer)
            x = self._normalize(x, i) if self._structure.placement == "pre" else x
            x = activate(x)
            x = self._normalize(x, i) if self._structure.placement == "post" else x
            x = self._drop(x)
            x = F.max_pool2d(x, 2) if layer.pooled else x
        return torch.baddbmm(self.head_bias[:, None], x, self.head)

    def _linear(self, x: Tensor, i: int, layer: Layer) -> Tensor:
        bias = self.biases[i] if len(self.biases) else None
        if layer.kind == "conv":  # the first sees one image for all lanes, and so needs no groups
            return F.conv2d(
                x, self.kernels[i], None if bias is None else bias.flatten(), padding=1, groups=self._lanes if i else 1
            )
        return torch.bmm(x, self.kernels[i]) if bias is None else torch.baddbmm(bias[:, None], x, self.kernels[i])

    def _normalize(self, x: Tensor, i: int) -> Tensor:
        scale, shift, (mean, var), weight = (
            self.scales[i],
            self.shifts[i],
            self._moving[i],
            1.0 - self._case.bn_momentum,
        )
        if x.ndim == 4 or self._form.native_norm:
            flat = x if x.ndim == 4 else x.transpose(0, 1).flatten(1)
            flat = F.batch_norm(flat, mean.view(-1), var.view(-1), scale.flatten(), shift.flatten(), True, weight)
            return flat if x.ndim == 4 else flat.view(len(flat), self._lanes, -1).transpose(0, 1)
        batch_var, batch_mean = torch.var_mean(x, 1, correction=0)
        with torch.no_grad():
            mean.lerp_(batch_mean, weight)
            var.lerp_(batch_var, weight)
        scale = scale * torch.rsqrt(batch_var + 1e-5)
        return torch.addcmul((shift - batch_mean * scale)[:, None], x, scale[:, None])

    def _drop(self, x: Tensor) -> Tensor:
        by_lane = x.view(len(x), self._lanes, -1) if x.ndim == 4 else x
        axis = 1 if x.ndim == 4 else 0
        if self._form.drop_by_lane:
            dropped = [
                F.dropout(lane, rate) for lane, rate in zip(by_lane.unbind(axis), self._rates.tolist(), strict=True)
            ]
            return torch.stack(dropped, axis).view_as(x)
        rates = self._rates.view(-1, 1) if x.ndim == 4 else self._rates.view(-1, 1, 1)
        return (by_lane * ((torch.rand_like(by_lane) >= rates) / (1.0 - rates))).view_as(x)


class StackedTrainer(Trainer):
    """One structure after another, in the form that turns out to be the fastest."""

    def __init__(self, case: Case, path: str, part: slice) -> None:
        self._case = case
        self._structures = case.structures[part]
        self._sample = dict(zip(case.structures, case.sample(), strict=True))
        self._batches = batches_of(case, path)
        self.lanes = sum(len(case.lanes_of(structure)) for structure in self._structures)
        self._form = self._fastest()
        norm = "batch_norm" if self._form.native_norm else "var_mean"
        self.form = f"{norm}, {'dropout by lane' if self._form.drop_by_lane else 'one mask'}"

    def train(self, n_steps: int) -> tuple[float, float]:
        """See `Trainer`."""
        return self._train(self._structures, self._form, n_steps)

    def _fastest(self) -> Form:
        """Of all forms, tried by turns on a structure that has BN."""
        seconds: dict[Form, float] = {}
        for _ in range(3):
            for form in [Form(native, by_lane) for native in (False, True) for by_lane in (False, True)]:
                one = [structure for structure in self._structures if structure.placement != "none"][:1]
                seconds[form] = min(self._train(one, form, 4)[0], seconds.get(form, math.inf))
        return min(seconds, key=lambda form: seconds[form])

    def _train(self, structures: list[Structure], form: Form, n_steps: int) -> tuple[float, float]:
        torch.manual_seed(0)
        image = self._batches[0][0].shape[1:]
        networks = [StackedNetwork(self._case, structure, image, form) for structure in structures]
        total = torch.zeros(())
        begun = time.perf_counter()
        for structure, network in zip(structures, networks, strict=True):
            lanes = self._case.lanes_of(structure)
            sampled = lanes.index(self._sample[structure])
            tx = torch.optim.SGD(network.parameters(), self._case.learning_rate, self._case.momentum, fused=True)
            for x, y in self._batches[:n_steps]:
                tx.zero_grad()
                logits = network(x)
                # summed over lanes, so that each gets the gradient of its own mean
                losses = F.cross_entropy(logits.flatten(0, 1), y.repeat(len(lanes)), reduction="none")
                losses = losses.view(len(lanes), -1).mean(1)
                losses.sum().backward()
                tx.step()
                total += losses[sampled].detach()
        return seconds_since(begun), float(total) / len(networks) / n_steps


def make(case: Case, examples: str, **options: Any) -> Crew:
    """See `benching.serve`."""
    return Crew(StackedTrainer, case, examples, **options)
