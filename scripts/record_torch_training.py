"""Record the losses of networks that PyTorch trains on our batches, for tests/engine/test_torch_training.py.

What it is fed, the initial weights, raw batches, crops and flips, is written by the first command; PyTorch, which is
not a dependency of the project, crops, flips and trains by the second one.

.venv/bin/python scripts/record_torch_training.py /tmp/fed.npz
python -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
/tmp/torch/bin/python scripts/record_torch_training.py --torch /tmp/fed.npz > tests/engine/torch_training.json
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CNN = ROOT / "configs" / "recipes" / "garbin_cnn.py"
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


def cell_of(name: str) -> Any:
    """The one cell of the study `name`; its extension is loaded."""
    import bn_ablate as bn

    if name == "garbin_cnn":
        bn.load_extension(CNN)
    table = STUDIES[name] | {"train": STUDIES[name]["train"] | {"steps": STEPS}}
    return bn.make_plan(bn.build_study(table, name=name)).cells[0]


def dataset() -> Any:
    """Images of four classes: stripes of a direction and colour of each, in noise."""
    import bn_ablate as bn

    draw = np.random.default_rng(0)
    labels = np.arange(128) % CLASSES
    rows, columns = np.mgrid[:SIDE, :SIDE]
    stripes = np.stack([np.where(labels[:, None, None] % 2, rows, columns) % 4 < 2] * 3, -1)
    stripes[..., 0] &= labels[:, None, None] < 2
    images = 90 + 60 * stripes + draw.integers(-60, 60, stripes.shape)
    return bn.Dataset.from_arrays(images.astype(np.uint8), labels, name="stripes")


def fed(name: str) -> dict[str, np.ndarray]:
    """The initial weights by path, and of each step the images as stored and standardized, labels, crops and flips."""
    import jax

    from bn_ablate.data import batch_indices, draw_split, moments
    from bn_ablate.engine.program import program_of
    from bn_ablate.engine.randomness import key_of
    from bn_ablate.engine.train import init_state
    from bn_ablate.nn import lane_factors

    data, lane = dataset(), cell_of(name).settings
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
    return {f"{name}/{key}": np.asarray(value) for key, value in found.items()}


class Torch:
    """PyTorch's training of what it is fed, in float64, by its own layers."""

    def __init__(self, name: str, given: dict[str, np.ndarray]) -> None:
        """Take up the initial weights: kernels as PyTorch has them, out and in first."""
        self.torch, self.f = import_module("torch"), import_module("torch.nn.functional")
        self.name, self.given, self.settings = name, given, STUDIES[name]
        self.params = {}
        for path, leaf in given.items():
            if "/" in path:
                turned = leaf.transpose((3, 2, 0, 1) if leaf.ndim == 4 else (1, 0)) if leaf.ndim > 1 else leaf
                self.params[path] = self.torch.tensor(turned.copy(), dtype=self.torch.float64, requires_grad=True)

    def losses(self) -> list[float]:
        """The loss of each batch."""
        train = self.settings["train"]
        if train.get("optimizer") == "rmsprop":
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
            cut = [image[:, i : i + SIDE, j : j + SIDE] for image, (i, j) in zip(padded, offsets, strict=True)]
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
        epsilon = self.settings["norm"].get("epsilon", 1e-5)
        return self.f.batch_norm(x, None, None, scale, bias, training=True, eps=epsilon)

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
            said[name] = Torch(name, given).losses()
        json.dump(said, sys.stdout)
        print()
        return 0
    everything: dict[str, Any] = {key: some for name in STUDIES for key, some in fed(name).items()}
    np.savez(argv[0], **everything)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
