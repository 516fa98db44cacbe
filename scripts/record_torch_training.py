"""Record the losses of networks that PyTorch trains on our batches, for tests/engine/test_torch_training.py.

What it is fed, the initial weights, raw batches, crops and flips, is written by the first command; PyTorch, which is
not a dependency of the project, crops, flips and trains by the second one.

.venv/bin/python scripts/record_torch_training.py /tmp/fed.npz
python -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
/tmp/torch/bin/python scripts/record_torch_training.py --torch /tmp/fed.npz > tests/engine/torch_training.json

With `--recipes NAME` the first command feeds the recipes of configs/recipes at their full size, on the data set NAME,
which is CIFAR-10, and trains them here too; the second one then shows how far the losses are apart.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "configs" / "recipes"
RECIPES = {"resnet_20": "cifar_resnet.toml", "garbin_cnn": "garbin_cnn.toml"}
STEPS, SIDE, CLASSES = 20, 12, 4
DATA = {"n_train": 96, "n_validation": 0, "n_test": 32, "augment": "crop_flip"}
STUDIES: dict[str, dict[str, Any]] = {
    "resnet_20": {
        "data": DATA | {"augment_size": 2, "standardize": "feature"},
        "model": {"architecture": "resnet", "depth": 19, "width": 4, "kernel_init": "he_normal"},
        "norm": {"placement": "pre"},
        "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "decay_on": "all"},
    },
    "garbin_cnn": {
        "data": DATA | {"augment_size": 1, "standardize": "unit"},
        "model": {"architecture": "garbin_cnn", "depth": 5, "width": 8, "kernel_init": "glorot_uniform"},
        "norm": {"placement": "post", "momentum": 0.99, "epsilon": 1e-3},
        "train": {"batch_size": 32, "optimizer": "rmsprop", "learning_rate": 1e-3, "momentum": 0.0},
    },
}
"""ResNet-20 by the recipe of He et al. 2016 and the CNN of Garbin et al. 2020 by theirs, narrow, on small images."""


def cell_of(name: str, on: str = "") -> Any:
    """The one cell of the study `name`, or of its recipe `on` a data set; its extension is loaded."""
    import bn_ablate as bn

    if on:
        return bn.make_plan(bn.load_study(FOLDER / RECIPES[name], [f"data.name={on}"])).cells[0]
    if name == "garbin_cnn":
        bn.load_extension(FOLDER / "garbin_cnn.py")
    table = STUDIES[name] | {"train": STUDIES[name]["train"] | {"steps": STEPS}}
    return bn.make_plan(bn.build_study(table, name=name)).cells[0]


def dataset(on: str = "") -> Any:
    """A prepared data set, or images of four classes: stripes of a direction and colour of each, in noise."""
    import bn_ablate as bn
    from bn_ablate.data import load

    if on:
        return load(on)
    draw = np.random.default_rng(0)
    labels = np.arange(128) % CLASSES
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stripes = np.stack([np.where(labels[:, None, None] % 2, rows, columns) % 4 < 2] * 3, -1)
    stripes[..., 0] &= labels[:, None, None] < 2
    images = 90 + 60 * stripes + draw.integers(-60, 60, stripes.shape)
    return bn.Dataset.from_arrays(images.astype(np.uint8), labels, name="stripes")


def losses_of(cell: Any, data: Any) -> list[float]:
    """The loss of each batch, by the program that trains a lane alone, measured before each step."""
    from bn_ablate.engine import Engine
    from bn_ablate.engine.many_lanes import Segment

    wanted = Engine(data).alone(cell, 0)
    train, begin = wanted.train().result(), wanted.begin().result()
    states = begin(wanted.examples, wanted.seeds, wanted.factors, wanted.first)
    losses, every = [], wanted.segment.indices
    for step in range(STEPS):
        now = Segment(np.roll(every, -step, 1), np.int32(step), np.int32(1), np.bool_(True))  # type: ignore[arg-type]
        states = train(wanted.examples, wanted.seeds, wanted.factors, states, now)
        losses.append(float(states.loss_sum[0, 0]))
    return losses


def fed(cell: Any, data: Any) -> dict[str, np.ndarray]:
    """The initial weights by path, and of each step the images, standardized, labels, crops and flips; the settings."""
    import jax

    from bn_ablate.data import batch_indices, draw_split, moments
    from bn_ablate.engine.program import program_of
    from bn_ablate.engine.randomness import key_of
    from bn_ablate.engine.train import init_state
    from bn_ablate.nn import lane_factors

    lane = cell.settings
    program = program_of([lane], data.images.shape[1:], data.n_classes)
    params = jax.jit(init_state, static_argnums=0)(program, 0, lane_factors(lane, program.structure)).params
    split, size = draw_split(data, lane.data, 0), program.augment_size
    mean, std = moments(data, lane.data, split)
    found: dict[str, Any] = {
        "/".join(str(step.key) for step in path): leaf for path, leaf in jax.tree.leaves_with_path(params)
    }
    steps: dict[str, list[Any]] = {"x": [], "y": [], "offsets": [], "flips": []}
    for step, positions in enumerate(batch_indices(len(split.train), lane.train.batch_size, 0, 0, STEPS)):
        chosen, (cropping, flipping) = split.train[positions], jax.random.split(key_of(0, "augment", step))
        steps["x"].append((data.images[chosen] - mean) / std)
        steps["y"].append(data.labels[chosen])
        steps["offsets"].append(jax.random.randint(cropping, (len(chosen), 2), 0, 2 * size + 1))
        steps["flips"].append(jax.random.bernoulli(flipping, 0.5, (len(chosen),)))
    found |= {key: np.stack(some) for key, some in steps.items()} | {"size": size}
    found["settings"] = json.dumps(lane.train.model_dump(mode="json") | {"epsilon": lane.norm.epsilon})
    return {key: np.asarray(value) for key, value in found.items()}


class Torch:
    """PyTorch's training of what it is fed, in float64, by its own layers."""

    def __init__(self, name: str, given: dict[str, np.ndarray]) -> None:
        """Take up the initial weights: kernels as PyTorch has them, out and in first."""
        self.torch, self.f = import_module("torch"), import_module("torch.nn.functional")
        self.name, self.given, self.settings = name, given, json.loads(str(given["settings"]))
        self.params = {}
        for path, leaf in given.items():
            if "/" in path:
                turned = leaf.transpose((3, 2, 0, 1) if leaf.ndim == 4 else (1, 0)) if leaf.ndim > 1 else leaf
                self.params[path] = self.torch.tensor(turned.copy(), dtype=self.torch.float64, requires_grad=True)

    def losses(self) -> list[float]:
        """The loss of each batch."""
        train = self.settings
        if train["optimizer"] == "rmsprop":
            update: Any = self._rmsprop(train["learning_rate"])
        else:
            rate, momentum, decay = train["learning_rate"], train["momentum"], train["weight_decay"]
            update = self.torch.optim.SGD(self.params.values(), rate, momentum, weight_decay=decay).step
        found = []
        for x, y in self._batches():
            loss = self.f.cross_entropy(getattr(self, f"_{self.name}")(x), y)
            for param in self.params.values():
                param.grad = self.torch.zeros_like(param)
            loss.backward()
            update()
            found.append(loss.item())
        return found

    def _batches(self) -> Any:
        """Images padded with zeros, cut out again, and mirrored, as drawn."""
        size = int(self.given["size"])
        for x, y, offsets, flips in zip(*(self.given[key] for key in ("x", "y", "offsets", "flips")), strict=True):
            images = self.torch.tensor(x, dtype=self.torch.float64).permute(0, 3, 1, 2)
            padded = self.f.pad(images, (size,) * 4)
            side = images.shape[-1]
            cut = [image[:, i : i + side, j : j + side] for image, (i, j) in zip(padded, offsets, strict=True)]
            seen = [image.flip(2) if flip else image for image, flip in zip(cut, flips, strict=True)]
            yield self.torch.stack(seen), self.torch.tensor(y, dtype=self.torch.int64)

    def _rmsprop(self, rate: float) -> Any:
        """Ours has ε inside the root, PyTorch's outside."""
        squares = {path: self.torch.zeros_like(param) for path, param in self.params.items()}

        def update() -> None:
            with self.torch.no_grad():
                for path, param in self.params.items():
                    squares[path] = 0.9 * squares[path] + 0.1 * param.grad**2
                    param.sub_(rate * param.grad / (squares[path] + 1e-8).sqrt())

        return update

    def _norm(self, i: int, x: Any) -> Any:
        scale, bias = (self.params[f"block_{i}/norm/{name}"] for name in ("scale", "bias"))
        return self.f.batch_norm(x, None, None, scale, bias, training=True, eps=self.settings["epsilon"])

    def _conv(self, i: int, x: Any, stride: int = 1, bias: Any = None) -> Any:
        return self.f.conv2d(x, self.params[f"block_{i}/linear/kernel"], bias, stride=stride, padding=1)

    def _head(self, x: Any) -> Any:
        return self.f.linear(x, self.params["head/kernel"], self.params["head/bias"])

    def _resnet_20(self, x: Any) -> Any:
        x = self.f.relu(self._norm(0, self._conv(0, x)))
        for residual in range(9):
            stride, i = (2 if residual in (3, 6) else 1), 1 + 2 * residual
            inner = self.f.relu(self._norm(i, self._conv(i, x, stride)))
            inner = self._norm(i + 1, self._conv(i + 1, inner))
            beside = x[:, :, ::stride, ::stride]
            beside = self.f.pad(beside, (0, 0, 0, 0, 0, inner.shape[1] - beside.shape[1]))
            x = self.f.relu(inner + beside)
        return self._head(x.mean((2, 3)))

    def _garbin_cnn(self, x: Any) -> Any:
        for i in range(4):
            x = self._norm(i, self.f.relu(self._conv(i, x, bias=self.params[f"block_{i}/bias"])))
            x = self.f.max_pool2d(x, 2) if i % 2 else x
        flat = x.permute(0, 2, 3, 1).flatten(1)
        dense = self.f.linear(flat, self.params["block_4/linear/kernel"], self.params["block_4/bias"])
        return self._head(self._norm(4, self.f.relu(dense)))


def main(argv: list[str]) -> int:
    """Write what is fed, or print what PyTorch makes of it."""
    if argv[:1] == ["--torch"]:
        with np.load(argv[1]) as stored:
            every = dict(stored)
        said: dict[str, Any] = {"torch": import_module("torch").__version__}
        for name in STUDIES:
            given = {key.removeprefix(f"{name}/"): some for key, some in every.items() if key.startswith(f"{name}/")}
            said[name] = losses = Torch(name, given).losses()
            if (ours := given.get("losses")) is not None:
                apart = np.abs(ours - losses).max()
                print(
                    f"{name}: losses from {ours[0]:.4f} to {ours[-1]:.4f} in {STEPS} steps, at most {apart:.1e} apart"
                )
        if "losses" not in given:
            print(json.dumps(said))
        return 0
    file, *rest = argv
    on = rest[1] if rest[:1] == ["--recipes"] else ""
    everything: dict[str, Any] = {}
    for name in STUDIES:
        data, cell = dataset(on), cell_of(name, on)
        given = fed(cell, data) | ({"losses": np.asarray(losses_of(cell, data))} if on else {})
        everything |= {f"{name}/{key}": some for key, some in given.items()}
    np.savez(file, **everything)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
