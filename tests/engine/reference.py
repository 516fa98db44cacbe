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


BATCH = ("batch", "mean_only", "variance_only", "batch_renorm")
"""The normalizers with moving statistics."""


def parted(x: Array, norm: Any) -> tuple[Array, tuple[int, ...]]:
    """x such that statistics are over whole axes, and these axes."""
    places = range(1, x.ndim - 1)
    match norm.kind:
        case "layer" | "rms":
            return x, (*places, x.ndim - 1)
        case "group":
            return x.reshape(*x.shape[:-1], norm.groups, -1), (*places, x.ndim)
        case "instance":
            return x, tuple(places)
    return x.reshape(-1, norm.batch_size or len(x), *x.shape[1:]), (1, *(place + 1 for place in places))


def absorbs_bias(settings: LaneSettings) -> bool:
    """Whether a bias before the normalizer is subtracted again."""
    return settings.norm.kind in ("batch", "mean_only", "instance")


class Norm:
    """Normalization of one layer, forward in training and backward, group by group."""

    def __init__(self, p: dict[str, Array], stats: dict[str, Array], settings: LaneSettings) -> None:
        self.stats, self.settings = stats, settings.norm
        self.scale = p["scale"] if settings.norm.affine in ("scale", "both") else np.ones_like(p["scale"])
        self.bias = p["bias"] if settings.norm.affine in ("bias", "both") else np.zeros_like(p["bias"])

    def forward(self, x: Array) -> Array:
        """Normalize by the statistics of the batch, or of each group or example, and update the moving ones."""
        v, self.axes = parted(x, self.settings)
        kind, mean = self.settings.kind, v.mean(self.axes, keepdims=True)
        around = 0 * mean if kind == "rms" else mean
        square = ((v - around) ** 2).mean(self.axes, keepdims=True)
        self.centred = kind not in ("rms", "variance_only")
        self.divided = kind != "mean_only"
        self.deviation = np.sqrt(square + self.settings.epsilon) if self.divided else np.ones_like(mean)
        if kind == "fixed":
            if not self.stats.get("started"):
                of_batch = (some.reshape(-1, x.shape[-1]) for some in (mean, square))
                self.stats.update(zip(("mean", "var"), (some.mean(0) for some in of_batch), strict=True), started=1.0)
            else:
                mean = around = np.broadcast_to(self.stats["mean"], mean.shape)
                self.deviation = np.sqrt(np.broadcast_to(self.stats["var"], mean.shape) + self.settings.epsilon)
        self.plain = self.xhat = (v - mean * self.centred) / self.deviation
        self.spread = (v - around) / self.deviation
        self.r = 1.0
        if kind == "batch_renorm":
            r_max, d_max, moving = self.settings.r_max, self.settings.d_max, self.stats
            of_moving = np.sqrt(moving["var"] + self.settings.epsilon)
            self.r = np.clip(self.deviation / of_moving, 1 / r_max, r_max)
            self.xhat = self.plain * self.r + np.clip((mean - moving["mean"]) / of_moving, -d_max, d_max)
        momentum = self.settings.momentum
        for name, of_groups, moves in (("mean", mean, self.centred), ("var", square, self.divided)):
            if kind in BATCH and moves:
                of_batch = of_groups.reshape(-1, x.shape[-1]).mean(0)
                self.stats[name] = momentum * self.stats[name] + (1 - momentum) * of_batch
        return self.scale * self.xhat.reshape(x.shape) + self.bias

    def backward(self, g: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient for the input, and those for scale and bias."""
        v, rows = parted(g * self.scale, self.settings)[0], tuple(range(g.ndim - 1))
        through_mean = self.centred and self.settings.gradient in ("full", "no_variance")
        through_square = self.settings.gradient in ("full", "no_mean")
        dx = v - through_mean * v.mean(self.axes, keepdims=True)
        if self.divided:
            of_square = self.spread * (v * self.plain).mean(self.axes, keepdims=True)
            dx = self.r * (dx - through_square * of_square) / self.deviation
        if self.settings.kind == "fixed":  # its statistics are constants
            dx = v / self.deviation
        d_scale, d_bias = (g * self.xhat.reshape(g.shape)).sum(rows), g.sum(rows)
        affine = self.settings.affine
        return dx.reshape(g.shape), {
            "scale": d_scale if affine in ("scale", "both") else 0 * d_scale,
            "bias": d_bias if affine in ("bias", "both") else 0 * d_bias,
        }


class Without:
    """No normalization: nothing is changed, and scale and bias have no gradient."""

    def __init__(self, p: dict[str, Array]) -> None:
        self.nothing = {name: np.zeros_like(p[name]) for name in ("scale", "bias")}

    def forward(self, x: Array) -> Array:
        """x."""
        return x

    def backward(self, g: Array) -> tuple[Array, dict[str, Array]]:
        """g."""
        return g, self.nothing


def normed_blocks(settings: LaneSettings) -> set[int]:
    """The blocks that are normalized."""
    coverage, depth = settings.norm.coverage, settings.model.depth
    if settings.norm.placement == "none":
        return set()
    if coverage.startswith("only_"):
        return {int(coverage[5:])}
    if coverage.startswith("without_"):
        return set(range(depth)) - {int(coverage[8:])}
    known = {"all": range(depth), "first": [0], "last": [depth - 1], "every_other": range(0, depth, 2)}
    return set(known.get(coverage, ()))


def input_normed(settings: LaneSettings) -> bool:
    """Whether the input is normalized."""
    if settings.norm.placement == "none" or settings.norm.coverage == "none":
        return False
    return settings.norm.coverage == "input" or settings.dropout.site == "ic"


def factor(settings: LaneSettings, bits: Array) -> Array:
    """What dropout multiplies by."""
    rate = settings.dropout.rate
    if settings.dropout.kind == "uniform":
        return 1 + rate * ((2.0 * bits + 1) / 65536 - 1)
    threshold = round(rate * 65536)
    return (bits >= threshold) * (65536 / (65536 - threshold))


def factors_of_block(settings: LaneSettings, i: int, bits: Array) -> tuple[Array, Array]:
    """What dropout multiplies by before BN and at the end of block i; ones where it is not."""
    ones, random = np.ones(bits.shape), factor(settings, bits)
    match settings.dropout.site:
        case "last" if i < settings.model.depth - 1:
            return ones, ones
        case "before_norm" if i in normed_blocks(settings):
            return random, ones
    return ones, random


def train(
    settings: LaneSettings, params: dict[str, Any], batches: list[tuple[Array, Array]], bits: list[Any]
) -> tuple[dict[str, Any], dict[str, Any], list[float]]:
    """Momentum SGD with coupled weight decay on kernels; returns parameters, moving statistics and batch losses.

    The bits of a step are those of its blocks, then those of the input for dropout site `ic`.
    """
    f, df = FUNCTIONS[settings.model.activation]
    depth, placement, normed = settings.model.depth, settings.norm.placement, normed_blocks(settings)
    width = settings.model.width
    stats = {i: {"mean": np.zeros(width), "var": np.ones(width), "started": 0.0} for i in range(depth)}
    features = batches[0][0].shape[1]
    input_stats = {"mean": np.zeros(features), "var": np.ones(features), "started": 0.0}
    velocity: dict[tuple[str, ...], Array] = {}
    losses = []
    for (x, y), step_bits in zip(batches, bits, strict=True):
        kept = []
        entrance: Any = Norm(params["input_norm"], input_stats, settings) if input_normed(settings) else None
        h = entrance.forward(x) if entrance else x
        on_input = factor(settings, step_bits[-1]) if settings.dropout.site == "ic" and settings.dropout.rate else 1.0
        h = h * on_input
        for i in range(depth):
            block = params[f"block_{i}"]
            norm = Norm(block["norm"], stats[i], settings) if i in normed else Without(block["norm"])
            early, late = factors_of_block(settings, i, step_bits[i])
            pre = placement == "pre" and i in normed and absorbs_bias(settings)
            z = h @ block["linear"]["kernel"] + (0 if pre else block["bias"])
            if placement == "post":
                kept.append((h, z, norm, early, late))
                h = norm.forward(f(z) * early) * late
            else:
                n = norm.forward(z * early)
                kept.append((h, n, norm, early, late))
                h = f(n) * late
        logits = h @ params["head"]["kernel"] + params["head"]["bias"]
        shifted = logits - logits.max(1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        rows = np.arange(len(y))
        smoothing = settings.train.label_smoothing
        wanted = np.full(p.shape, smoothing / p.shape[1])
        wanted[rows, y] += 1 - smoothing
        losses.append(float(-(wanted * np.log(p)).sum(1).mean()))
        g = (p - wanted) / len(y)
        gradients: dict[tuple[str, ...], Array] = {("head", "kernel"): h.T @ g, ("head", "bias"): g.sum(0)}
        g = g @ params["head"]["kernel"].T
        for i in reversed(range(depth)):
            inputs, n, norm, early, late = kept[i]
            name = f"block_{i}"
            g = g * late
            if placement == "post":
                g, d_norm = norm.backward(g)
                g = g * early * df(n)
            else:
                g, d_norm = norm.backward(g * df(n))
                g = g * early
            if not (placement == "pre" and i in normed and absorbs_bias(settings)):
                gradients[name, "bias"] = g.sum(0)
            gradients[name, "norm", "scale"], gradients[name, "norm", "bias"] = d_norm["scale"], d_norm["bias"]
            gradients[name, "linear", "kernel"] = inputs.T @ g
            g = g @ params[name]["linear"]["kernel"].T
        if entrance:
            _, d_norm = entrance.backward(g * on_input)
            gradients["input_norm", "scale"], gradients["input_norm", "bias"] = d_norm["scale"], d_norm["bias"]
        norm_of_all = np.sqrt(sum((g**2).sum() for path, g in gradients.items() if trained(settings, path)))
        clipped = min(1.0, (settings.train.clip_norm or np.inf) / norm_of_all) if norm_of_all else 1.0
        for path, gradient in gradients.items():
            *parents, last = path
            place = params
            for parent in parents:
                place = place[parent]
            decay = settings.train.weight_decay * place[last] if decays(settings, path) else 0.0
            velocity[path] = settings.train.momentum * velocity.get(path, 0.0) + clipped * gradient + decay
            if trained(settings, path):
                place[last] = place[last] - settings.train.learning_rate * velocity[path]
    blocks = {f"block_{i}": {"norm": stats[i]} for i in range(depth)}
    return params, blocks | ({"input_norm": input_stats} if "input_norm" in params else {}), losses


def decays(settings: LaneSettings, path: tuple[str, ...]) -> bool:
    """Whether the lane's weight decay is on this parameter."""
    match settings.train.decay_on:
        case "all":
            return True
        case "all_but_norm":
            return not any("norm" in name for name in path)
    return path[-1] == "kernel"


def trained(settings: LaneSettings, path: tuple[str, ...]) -> bool:
    """Whether the lane trains this parameter."""
    affine = path[-1] if any("norm" in name for name in path) else ""
    match settings.train.trainable:
        case "all_but_scale":
            return affine != "scale"
        case "all_but_bias":
            return affine != "bias"
        case "affine_only":
            return bool(affine)
    return True
