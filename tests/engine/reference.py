"""One lane trained in NumPy, float64, every gradient written out: it shares no code with the engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from bn_ablate.config import LaneSettings

Array = np.ndarray


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(−z))."""
    return 1.0 / (1.0 + np.exp(-z))


FUNCTIONS = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
}


class Norm:
    """Batch Normalization of one layer, forward in training and backward."""

    def __init__(self, p: dict[str, Array], stats: dict[str, Array], settings: LaneSettings) -> None:
        self.p, self.stats, self.momentum, self.epsilon = p, stats, settings.norm.momentum, settings.norm.epsilon

    def forward(self, x: Array) -> Array:
        """Normalize by the batch, and update the moving statistics."""
        mean, var = x.mean(0), x.var(0)
        self.deviation = np.sqrt(var + self.epsilon)
        self.xhat = (x - mean) / self.deviation
        for name, batch in (("mean", mean), ("var", var)):
            self.stats[name] = self.momentum * self.stats[name] + (1 - self.momentum) * batch
        return self.p["scale"] * self.xhat + self.p["bias"]

    def backward(self, g: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient for the input, and those for scale and bias."""
        gx = g * self.p["scale"]
        dx = (gx - gx.mean(0) - self.xhat * (gx * self.xhat).mean(0)) / self.deviation
        return dx, {"scale": (g * self.xhat).sum(0), "bias": g.sum(0)}


def train(
    settings: LaneSettings, params: dict[str, Any], batches: list[tuple[Array, Array]], bits: list[Array]
) -> tuple[dict[str, Any], dict[str, Any], list[float]]:
    """Momentum SGD with coupled weight decay on kernels; returns parameters, moving statistics and batch losses."""
    f, df = FUNCTIONS[settings.model.activation]
    depth, placement = settings.model.depth, settings.norm.placement
    stats = {i: {"mean": np.zeros(settings.model.width), "var": np.ones(settings.model.width)} for i in range(depth)}
    velocity: dict[tuple[str, ...], Array] = {}
    losses = []
    for (x, y), step_bits in zip(batches, bits, strict=True):
        kept = []
        h = x
        for i in range(depth):
            block = params[f"block_{i}"]
            norm = Norm(block["norm"], stats[i], settings)
            z = h @ block["linear"]["kernel"] + (0 if placement == "pre" else block["bias"])
            n = norm.forward(z) if placement == "pre" else z
            a = f(n)
            o = norm.forward(a) if placement == "post" else a
            threshold = round(settings.dropout.rate * 65536)
            mask = (step_bits[i] >= threshold) * (65536 / (65536 - threshold))
            kept.append((h, n, norm, mask))
            h = o * mask
        logits = h @ params["head"]["kernel"] + params["head"]["bias"]
        shifted = logits - logits.max(1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        rows = np.arange(len(y))
        losses.append(float(-np.log(p[rows, y]).mean()))
        g = p.copy()
        g[rows, y] -= 1
        g /= len(y)
        gradients: dict[tuple[str, ...], Array] = {("head", "kernel"): h.T @ g, ("head", "bias"): g.sum(0)}
        g = g @ params["head"]["kernel"].T
        for i in reversed(range(depth)):
            inputs, n, norm, mask = kept[i]
            name = f"block_{i}"
            g = g * mask
            d_norm = {"scale": np.zeros_like(g[0]), "bias": np.zeros_like(g[0])}
            if placement == "post":
                g, d_norm = norm.backward(g)
            g = g * df(n)
            if placement == "pre":
                g, d_norm = norm.backward(g)
            else:
                gradients[name, "bias"] = g.sum(0)
            gradients[name, "norm", "scale"], gradients[name, "norm", "bias"] = d_norm["scale"], d_norm["bias"]
            gradients[name, "linear", "kernel"] = inputs.T @ g
            g = g @ params[name]["linear"]["kernel"].T
        for path, gradient in gradients.items():
            *parents, last = path
            place = params
            for parent in parents:
                place = place[parent]
            decay = settings.train.weight_decay * place[last] if last == "kernel" else 0.0
            velocity[path] = settings.train.momentum * velocity.get(path, 0.0) + gradient + decay
            place[last] = place[last] - settings.train.learning_rate * velocity[path]
    return params, {f"block_{i}": {"norm": stats[i]} for i in range(depth)}, losses
