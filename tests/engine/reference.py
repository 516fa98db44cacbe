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


def standardized(kernel: Array) -> Array:
    """A kernel less its mean, for each output, and of length 1."""
    centred = kernel - kernel.mean(0)
    return centred / np.sqrt((centred**2).sum(0) + len(kernel) * 1e-10)


def standardized_gradient(kernel: Array, g: Array) -> Array:
    """The gradient for the kernel, of that for the standardized one."""
    length, seen = np.sqrt(((kernel - kernel.mean(0)) ** 2).sum(0) + len(kernel) * 1e-10), standardized(kernel)
    return (g - g.mean(0) - seen * (g * seen).sum(0)) / length


class Norm:
    """Normalization of one layer, forward in training and backward, group by group.

    At a `step`, by the statistics of an `other` batch where the lane says so, with the noise of what is `drawn`.
    """

    def __init__(
        self,
        p: dict[str, Array],
        stats: dict[str, Array],
        settings: LaneSettings,
        step: int = 0,
        other: dict[str, Array] | None = None,
        drawn: dict[str, Array] | None = None,
    ) -> None:
        self.stats, self.settings, self.step, self.other = stats, settings.norm, step, other
        self.drawn, self.moving_steps = drawn or {}, settings.moving_steps
        self.scale = p["scale"] if settings.norm.affine in ("scale", "both") else np.ones_like(p["scale"])
        self.bias = p["bias"] if settings.norm.affine in ("bias", "both") else np.zeros_like(p["bias"])
        self.alpha = p.get("alpha", np.zeros(1))

    def forward(self, x: Array) -> Array:
        """Normalize by the statistics of the batch, or of each group or example, and update the moving ones."""
        if self.settings.kind == "dyt":
            self.x, self.xhat = x, np.tanh(self.alpha * x)
            return self.affine(x.shape)
        v, self.axes = parted(x, self.settings)
        kind, mean = self.settings.kind, v.mean(self.axes, keepdims=True)
        around = 0 * mean if kind == "rms" else mean
        square = ((v - around) ** 2).mean(self.axes, keepdims=True)
        own = mean, square
        moving, self.by_own = self.stats, True
        if kind in BATCH and (instead := self.instead) is not None:
            moving, self.by_own = instead, False
            mean, square = (np.broadcast_to(instead[name], mean.shape) for name in ("mean", "var"))
            around = mean
        self.centred = kind not in ("rms", "variance_only")
        self.divided = kind != "mean_only"
        self.deviation = self.root(square) if self.divided else np.ones_like(mean)
        if kind == "fixed":
            if not self.stats.get("started"):
                of_batch = (some.reshape(-1, x.shape[-1]) for some in (mean, square))
                self.stats.update(zip(("mean", "var"), (some.mean(0) for some in of_batch), strict=True), started=1.0)
            else:
                mean = around = np.broadcast_to(self.stats["mean"], mean.shape)
                self.deviation = self.root(np.broadcast_to(self.stats["var"], mean.shape))
        self.plain = self.xhat = (v - mean * self.centred) / self.deviation
        self.spread = (v - around) / self.deviation
        self.r = 1.0
        if kind == "batch_renorm":
            r_max, d_max = self.settings.r_max, self.settings.d_max
            of_moving = self.root(moving["var"])
            self.r = np.clip(self.deviation / of_moving, 1 / r_max, r_max)
            self.xhat = self.plain * self.r + np.clip((mean - moving["mean"]) / of_moving, -d_max, d_max)
        done, of_all = self.step - self.settings.since, len(self.moving_steps) - 1
        momentum = done / (done + 1) if self.settings.moving_average == "cumulative" else self.settings.momentum
        if self.settings.moving_average == "exponential" and self.settings.momentum_end is not None and of_all > 0:
            momentum += (self.settings.momentum_end - momentum) * done / of_all
        n = v.size // mean.size
        bessel = n / max(n - 1, 1) if self.settings.moving_variance == "unbiased" else 1.0
        for name, of_groups, moves in (
            ("mean", own[0], self.centred),
            ("var", bessel * own[1], self.divided),
        ):
            if kind in BATCH and moves and not self.frozen:
                of_all = of_groups.reshape(-1, x.shape[-1]).mean(0)
                self.stats[name] = momentum * self.stats[name] + (1 - momentum) * of_all
        return self.affine(x.shape)

    @property
    def frozen(self) -> bool:
        """Whether the moving statistics stand still."""
        return 0 < self.settings.frozen_from <= self.step

    @property
    def instead(self) -> dict[str, Array] | None:
        """The statistics that are taken in the place of the batch's."""
        if self.frozen or self.settings.statistics == "moving":
            return dict(self.stats)
        return self.other if self.settings.statistics == "other_batch" else None

    def root(self, square: Array) -> Array:
        """What is divided by."""
        epsilon = self.settings.epsilon
        return np.sqrt(square) + epsilon if self.settings.epsilon_on == "deviation" else np.sqrt(square + epsilon)

    def affine(self, shape: tuple[int, ...]) -> Array:
        """γ x̂ + β, with the noise of a batch of another size on x̂, and another one on what comes of that."""
        self.noise, self.after = (1.0, 0.0), (1.0, 0.0)
        wide = 2, shape[0], *[1] * (len(shape) - 2), shape[-1]
        if n := self.settings.noise:
            rows = np.arange(shape[0]) // n * n
            a, b = self.drawn["noise"][:, rows].reshape(wide)
            self.noise = (1 + a / np.sqrt(2 * n), b / np.sqrt(n))
        if c := self.settings.noise_after:
            s, m = self.drawn["noise_after"].reshape(wide)
            self.after = (1 + c * s, c * m)
        times, plus = self.noise
        return (self.scale * (self.xhat.reshape(shape) * times + plus) + self.bias) * self.after[0] + self.after[1]

    def backward(self, g: Array) -> tuple[Array, dict[str, Array]]:
        """The gradient for the input, and those for scale and bias."""
        g = g * self.after[0]
        rows, affine, (times, plus) = tuple(range(g.ndim - 1)), self.settings.affine, self.noise
        d_scale, d_bias = (g * (self.xhat.reshape(g.shape) * times + plus)).sum(rows), g.sum(rows)
        of_affine = {
            "scale": d_scale if affine in ("scale", "both") else 0 * d_scale,
            "bias": d_bias if affine in ("bias", "both") else 0 * d_bias,
            "alpha": np.zeros(1),
        }
        if self.settings.kind == "dyt":
            inner = g * times * self.scale * (1 - self.xhat**2)
            return self.alpha * inner, of_affine | {"alpha": np.sum(inner * self.x, keepdims=True).reshape(1)}
        v = parted(g * times * self.scale, self.settings)[0]
        through_mean = self.centred and self.by_own and self.settings.gradient in ("full", "no_variance")
        through_square = self.by_own and self.settings.gradient in ("full", "no_mean")
        outside = self.settings.epsilon_on == "deviation"
        root = np.maximum(self.deviation - self.settings.epsilon, 1e-30)  # where it is 0, x̂ is
        steeper = self.deviation / root if outside and through_square else 1.0
        dx = v - through_mean * v.mean(self.axes, keepdims=True)
        if self.divided:
            of_square = steeper * self.spread * (v * self.plain).mean(self.axes, keepdims=True)
            dx = self.r * (dx - through_square * of_square) / self.deviation
        if self.settings.kind == "fixed":  # its statistics are constants
            dx = v / self.deviation
        return dx.reshape(g.shape), of_affine


class Without:
    """No normalization: nothing is changed, and scale, bias and alpha have no gradient."""

    def __init__(self, p: dict[str, Array]) -> None:
        self.nothing = {name: np.zeros_like(leaf) for name, leaf in ({"alpha": np.zeros(1)} | p).items()}

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
    settings: LaneSettings,
    params: dict[str, Any],
    batches: list[tuple[Array, Array]],
    bits: list[Any],
    noises: list[dict[str, dict[str, Array]]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any], list[float]]:
    """Momentum SGD with coupled weight decay on kernels; returns parameters, moving statistics and batch losses.

    The bits of a step are those of its blocks, then those of the input for dropout site `ic`. Of the batches there may
    be one more than steps, whose statistics the last step sees.
    """
    _, df = FUNCTIONS[settings.model.activation]
    depth, placement = settings.model.depth, settings.norm.placement
    sizes = {f"block_{i}": settings.model.width for i in range(depth)} | {"input_norm": batches[0][0].shape[1]}
    stats = {name: {"mean": np.zeros(n), "var": np.ones(n), "started": 0.0} for name, n in sizes.items()}
    velocity: dict[tuple[str, ...], Array] = {}
    losses = []
    for step, step_bits in enumerate(bits):
        x, y = batches[step]
        drawn = noises[step] if noises else {}
        told, settings = settings, at_step(settings, step)
        normed = normed_blocks(settings)
        others: dict[str, Any] = {}
        if settings.norm.statistics == "other_batch":
            own = settings.at({"norm_statistics": "own", "frozen_from": 0, "moving_average": "exponential"})
            own = own.at({"bn_momentum": 0.0, "bn_momentum_end": None, "moving_variance": "biased"})
            others = {name: dict(some) for name, some in stats.items()}
            forward(own, params, others, batches[step + 1][0], step_bits, step, {}, drawn)
        h, kept, entrance, on_input = forward(settings, params, stats, x, step_bits, step, others, drawn)
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
            gradients |= {(name, "norm", of): d_norm[of] for of in params[name]["norm"]}
            kernel, d_kernel = params[name]["linear"]["kernel"], inputs.T @ g
            ws = settings.model.weight_standardization
            gradients[name, "linear", "kernel"] = standardized_gradient(kernel, d_kernel) if ws else d_kernel
            g = g @ (standardized(kernel) if ws else kernel).T
        if entrance:
            _, d_norm = entrance.backward(g * on_input)
            gradients |= {("input_norm", of): d_norm[of] for of in params["input_norm"]}
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
        settings = told
        if not (normed_blocks(settings) or input_normed(settings)):
            continue  # nothing comes or goes
        if step + 1 == settings.norm.since:
            put_in(settings, params, stats, x, step_bits)
            velocity = {}
        if step + 1 == settings.norm.until:
            fold(settings, params, stats)
            velocity = {}
    blocks = {f"block_{i}": {"norm": stats[f"block_{i}"]} for i in range(depth)}
    return params, blocks | ({"input_norm": stats["input_norm"]} if "input_norm" in params else {}), losses


def at_step(settings: LaneSettings, step: int) -> LaneSettings:
    """The settings, without BN in the steps in which it is not there."""
    there = settings.norm.since <= step and (settings.norm.until == 0 or step < settings.norm.until)
    return settings if there else settings.at({"coverage": "none"})


def put_in(settings: LaneSettings, params: dict[str, Any], stats: dict[str, Any], x: Array, bits: Any) -> None:
    """BN by the statistics of what arrives without it, and the identity of that."""
    kept = forward(settings.at({"coverage": "none"}), params, stats, x, bits, 0, {}, {})[1]
    arriving = {f"block_{i}": kept[i][1] for i in normed_blocks(settings)}
    if settings.norm.placement == "post":
        f = FUNCTIONS[settings.model.activation][0]
        arriving = {name: f(z) for name, z in arriving.items()}
    arriving |= {"input_norm": x} if input_normed(settings) else {}
    kind = settings.norm.kind
    for name, h in arriving.items():
        p = params[name] if name == "input_norm" else params[name]["norm"]
        root = Norm(p, {}, settings).root(h.var(0))
        if kind != "mean_only":
            p["scale"], stats[name]["var"] = root, h.var(0)
        else:
            p["scale"] = np.ones_like(p["scale"])
        p["bias"] = np.zeros_like(p["bias"])
        if kind != "variance_only":
            p["bias"], stats[name]["mean"] = h.mean(0), h.mean(0)
            if name != "input_norm" and settings.norm.placement == "pre" and absorbs_bias(settings):
                stats[name]["mean"] = h.mean(0) - params[name]["bias"]
                params[name]["bias"] = np.zeros_like(params[name]["bias"])


def fold(settings: LaneSettings, params: dict[str, Any], stats: dict[str, Any]) -> None:
    """BN's map into the kernel and the bias before it, or into those behind it."""
    for i in normed_blocks(settings):
        name, block = f"block_{i}", params[f"block_{i}"]
        norm, moving = Norm(block["norm"], {}, settings), stats[name]
        s, kind = norm.scale, settings.norm.kind
        if kind != "mean_only":
            s = s / norm.root(moving["var"])
        t = norm.bias - s * (moving["mean"] if kind != "variance_only" else 0.0)
        if settings.norm.placement == "pre":
            block["linear"]["kernel"] = block["linear"]["kernel"] * s
            block["bias"] = t + (0 if absorbs_bias(settings) else s * block["bias"])
        else:
            last = i + 1 == settings.model.depth
            behind = params["head"] if last else params[f"block_{i + 1}"]
            layer = behind if last else behind["linear"]
            behind["bias"] = behind["bias"] + t @ layer["kernel"]
            layer["kernel"] = s[:, None] * layer["kernel"]
        block["norm"] |= {"scale": np.ones_like(s), "bias": np.zeros_like(s)}
        stats[name] |= {"mean": np.zeros_like(s), "var": np.ones_like(s)}


def forward(
    settings: LaneSettings,
    params: dict[str, Any],
    stats: dict[str, dict[str, Array]],
    x: Array,
    step_bits: Any,
    step: int,
    others: dict[str, Any],
    drawn: dict[str, dict[str, Array]],
) -> tuple[Array, list[Any], Any, Any]:
    """A training pass over x, which updates `stats`: what the last layer gets, and what a backward pass needs."""
    f, placement, normed = FUNCTIONS[settings.model.activation][0], settings.norm.placement, normed_blocks(settings)
    kept: list[Any] = []

    def normalizer(name: str, p: dict[str, Array]) -> Norm:
        of_name = {key: some[name] for key, some in drawn.items()}
        return Norm(p, stats[name], settings, step, others.get(name), of_name)

    entrance: Any = normalizer("input_norm", params["input_norm"]) if input_normed(settings) else None
    h = entrance.forward(x) if entrance else x
    on_input = factor(settings, step_bits[-1]) if settings.dropout.site == "ic" and settings.dropout.rate else 1.0
    h = h * on_input
    for i in range(settings.model.depth):
        block = params[f"block_{i}"]
        norm: Any = normalizer(f"block_{i}", block["norm"]) if i in normed else Without(block["norm"])
        early, late = factors_of_block(settings, i, step_bits[i])
        pre = placement == "pre" and i in normed and absorbs_bias(settings)
        kernel = block["linear"]["kernel"]
        seen = standardized(kernel) if settings.model.weight_standardization else kernel
        z = h @ seen + (0 if pre else block["bias"])
        if placement == "post":
            kept.append((h, z, norm, early, late))
            h = norm.forward(f(z) * early) * late
        else:
            n = norm.forward(z * early)
            kept.append((h, n, norm, early, late))
            h = f(n) * late
    return h, kept, entrance, on_input


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
    affine = path[-1] if any("norm" in name for name in path) and path[-1] != "alpha" else ""
    match settings.train.trainable:
        case "all_but_scale":
            return affine != "scale"
        case "all_but_bias":
            return affine != "bias"
        case "affine_only":
            return bool(affine)
    return True
