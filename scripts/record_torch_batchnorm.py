"""Record what PyTorch's BatchNorm1d computes, for tests/nn/test_norm.py; PyTorch is not a dependency of the project.

python -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
/tmp/torch/bin/python scripts/record_torch_batchnorm.py > tests/nn/torch_batchnorm.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch


def record(rows: int, channels: int, momentum: float, epsilon: float, steps: int) -> dict[str, Any]:
    """Outputs, gradients and moving statistics over a few training steps, then one evaluation.

    `momentum` is the decay of the moving average as Flax means it; PyTorch's own is 1 − momentum.
    """
    generator = torch.Generator().manual_seed(rows * channels)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    layer = torch.nn.BatchNorm1d(channels, eps=epsilon, momentum=1.0 - momentum, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(1.0 + 0.5 * normal(channels))
        layer.bias.copy_(normal(channels))
    trained = []
    for _ in range(steps):
        x = (3.0 * normal(rows, channels) + 2.0).requires_grad_()
        g = normal(rows, channels)
        layer.zero_grad()
        y = layer(x)
        y.backward(g)
        trained.append(
            {
                "x": x.tolist(),
                "g": g.tolist(),
                "y": y.tolist(),
                "dx": x.grad.tolist() if x.grad is not None else None,
                "dscale": layer.weight.grad.tolist() if layer.weight.grad is not None else None,
                "dbias": layer.bias.grad.tolist() if layer.bias.grad is not None else None,
                "running_mean": layer.running_mean.tolist() if layer.running_mean is not None else None,
                "running_var_unbiased": layer.running_var.tolist() if layer.running_var is not None else None,
            }
        )
    layer.eval()
    x = normal(rows, channels)
    return {
        "momentum": momentum,
        "epsilon": epsilon,
        "scale": layer.weight.tolist(),
        "bias": layer.bias.tolist(),
        "trained": trained,
        "evaluated": {"x": x.tolist(), "y": layer(x).tolist()},
    }


if __name__ == "__main__":
    cases = [record(8, 3, 0.9, 1e-5, 3), record(5, 4, 0.5, 1e-3, 2)]
    json.dump({"torch": torch.__version__, "cases": cases}, sys.stdout)
    sys.stdout.write("\n")
