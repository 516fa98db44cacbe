"""Record what PyTorch computes where docs/conventions.md says how to get ours, for tests/engine/test_conventions.py.

PyTorch is not a dependency of the project.

python -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
/tmp/torch/bin/python scripts/record_torch_conventions.py > tests/engine/torch_conventions.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

STEPS, WARMUP, PEAK = 10, 4, 0.05
DECAY = {"weight_decay": 0.05}
OPTIMIZERS: list[tuple[dict[str, Any], Callable[[Any], torch.optim.Optimizer]]] = [
    ({"optimizer": "sgd", "momentum": 0.0}, lambda p: torch.optim.SGD(p, PEAK)),
    ({"optimizer": "sgd", "momentum": 0.9, **DECAY}, lambda p: torch.optim.SGD(p, PEAK, 0.9, **DECAY)),
    ({"optimizer": "sgd", "nesterov": True}, lambda p: torch.optim.SGD(p, PEAK, 0.9, nesterov=True)),
    ({"optimizer": "adam", **DECAY}, lambda p: torch.optim.Adam(p, PEAK, **DECAY)),
    ({"optimizer": "adamw", **DECAY}, lambda p: torch.optim.AdamW(p, PEAK, **DECAY)),
    (
        {"optimizer": "rmsprop", "momentum": 0.9, **DECAY},
        lambda p: torch.optim.RMSprop(p, PEAK, alpha=0.9, eps=0.0, momentum=0.9, **DECAY),
    ),
    ({"optimizer": "rmsprop", "momentum": 0.0}, lambda p: torch.optim.RMSprop(p, PEAK, alpha=0.9, eps=0.0)),
]
"""What a study says, and PyTorch's optimizer that does the same; RMSprop where no gradient is small beside 1e-4."""

SCHEDULES: list[tuple[dict[str, Any], Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]]] = [
    ({"schedule": "constant"}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS)),
    ({"schedule": "linear"}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=STEPS)),
    ({"schedule": "step", "milestones": [3, 8]}, lambda o: lr_scheduler.MultiStepLR(o, [3, 8], gamma=0.1)),
    (
        {"schedule": "one_cycle"},
        lambda o: lr_scheduler.OneCycleLR(o, PEAK, STEPS + 1, pct_start=4 / (STEPS + 1), cycle_momentum=False),
    ),
    (
        {"schedule": "cosine", "warmup_steps": WARMUP},
        lambda o: lr_scheduler.SequentialLR(
            o,
            [
                lr_scheduler.LinearLR(o, 1 / WARMUP, 1.0, total_iters=WARMUP - 1),
                lr_scheduler.CosineAnnealingLR(o, T_max=STEPS - WARMUP),
            ],
            milestones=[WARMUP],
        ),
    ),
]

ACTIVATIONS: dict[str, nn.Module] = {
    "identity": nn.Identity(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "hard_tanh": nn.Hardtanh(),
    "softsign": nn.Softsign(),
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "elu": nn.ELU(),
    "selu": nn.SELU(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "softplus": nn.Softplus(threshold=100.0),
}


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Normal random numbers in float64."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def optimized(said: dict[str, Any], make: Callable[[Any], torch.optim.Optimizer]) -> dict[str, Any]:
    """A kernel after each step of an optimizer, for gradients that are given; they do not depend on it."""
    generator = torch.Generator().manual_seed(1)
    kernel = nn.Parameter(normal(generator, 3, 2))
    gradients = [torch.sign(g) * (0.1 + g.abs()) for g in normal(generator, STEPS, 3, 2)]
    optimizer, after, start = make([kernel]), [], kernel.tolist()
    for gradient in gradients:
        kernel.grad = gradient.clone()
        optimizer.step()
        after.append(kernel.tolist())
    return {"train": said, "start": start, "gradients": [g.tolist() for g in gradients], "after": after}


def scheduled(
    said: dict[str, Any], make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]
) -> dict[str, Any]:
    """The learning rate of each step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], PEAK)
    schedule, rates = make(optimizer), []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return {"train": said, "rates": rates}


def activated(module: nn.Module, points: list[float]) -> dict[str, Any]:
    """Values and derivatives at points, kinks among them."""
    z = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = module(z)
    y.sum().backward()
    return {"y": y.tolist(), "slope": z.grad.tolist() if z.grad is not None else None}


def convolved(stride: int) -> dict[str, Any]:
    """A 3×3 convolution of padding 1, its arrays in our order: images NHWC, kernels HWIO."""
    generator = torch.Generator().manual_seed(2)
    layer = nn.Conv2d(2, 3, 3, stride, padding=1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(normal(generator, 3, 2, 3, 3))
    x = normal(generator, 2, 2, 6, 5)
    return {
        "stride": stride,
        "x": x.permute(0, 2, 3, 1).tolist(),
        "kernel": layer.weight.permute(2, 3, 1, 0).tolist(),
        "y": layer(x).permute(0, 2, 3, 1).tolist(),
        "pooled": nn.MaxPool2d(2)(x).permute(0, 2, 3, 1).tolist(),
    }


def lost() -> dict[str, Any]:
    """The mean cross-entropy, and its gradient."""
    logits = (3.0 * normal(torch.Generator().manual_seed(3), 5, 4)).requires_grad_()
    labels = torch.tensor([0, 3, 1, 1, 2])
    loss = nn.CrossEntropyLoss()(logits, labels)
    loss.backward()
    gradient = logits.grad.tolist() if logits.grad is not None else None
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels).item()
    said = {"loss": loss.item(), "gradient": gradient, "smoothed by 0.1": smoothed}
    return {"logits": logits.tolist(), "labels": labels.tolist()} | said


if __name__ == "__main__":
    points = [-30.0, -5.5, -2.0, -1.0, -math.pi / 10, 0.0, 0.2, 1.0, 1.5, 6.0, 30.0]
    recorded = {
        "torch": torch.__version__,
        "optimizers": [optimized(*case) for case in OPTIMIZERS],
        "schedules": [scheduled(*case) for case in SCHEDULES],
        "points": points,
        "activations": {name: activated(module, points) for name, module in ACTIVATIONS.items()},
        "convolutions": [convolved(stride) for stride in (1, 2)],
        "loss": lost(),
    }
    json.dump(recorded, sys.stdout)
    sys.stdout.write("\n")
