"""Weights of lanes: the file beside a shard's tables that holds those that were kept, and what one lane's are called.

A tensor of a shard is called `<lane id>/<steps>/params/<module>/<name>`, or `batch_stats` in the place of `params`, and
`averaged` in the place of the steps where weights are averaged ones; of a lane by itself, what comes after the steps.
`input/mean` and `input/std` are what images are standardized with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bn_ablate.config.architectures import NETWORKS, NetworkSpec
from bn_ablate.config.lane import LaneSettings
from bn_ablate.config.version import WRITTEN_BY
from bn_ablate.results.tensors import read_about, read_tensors, tensor_names, write_tensors

if TYPE_CHECKING:
    from bn_ablate.config.training_keys import Train
    from bn_ablate.data import Dataset
    from bn_ablate.engine import Outcome
    from bn_ablate.engine.program import Program

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class LaneWeights:
    """The weights of one lane after some steps, by their names; `about` says which lane and network that is."""

    tensors: Mapping[str, np.ndarray]
    about: Mapping[str, Any]

    def write(self, file: Path) -> None:
        """Write them as a file of the safetensors format, with what they are as JSON texts in its header."""
        about = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.about.items()}
        write_tensors(file, self.tensors, about)

    @property
    def variables(self) -> dict[str, Any]:
        """As Flax has them: nested by module."""
        nested: dict[str, Any] = {"params": {}, "batch_stats": {}, "input": {}}
        for name, tensor in self.tensors.items():
            *path, leaf = name.split("/")
            at = nested
            for part in path:
                at = at.setdefault(part, {})
            at[leaf] = tensor
        return {collection: nested[collection] for collection in ("params", "batch_stats")}


@dataclass(frozen=True)
class KeptWeights:
    """What was kept of a shard."""

    tensors: Mapping[str, np.ndarray]
    about: Mapping[str, str]

    @classmethod
    def of(cls, outcome: Outcome, dataset: Dataset) -> KeptWeights:
        """The weights of an `outcome`, each lane's without what its network has no use for."""
        image, classes = dataset.images.shape[1:], dataset.n_classes
        assert outcome.moments is not None
        shard, (mean, std) = outcome.shard, outcome.moments
        tensors: dict[str, np.ndarray] = {}
        lanes: dict[str, dict[str, Any]] = {}
        for j, cell in enumerate(shard.cells):
            used = names_in_use(cell.settings, image, classes)
            for i, seed in enumerate(shard.seeds):
                lane = cell.lane_id(seed)
                lanes[lane] = {"seed": seed, **network_of(cell.settings, image, classes)}
                if "averaged" in outcome.weights:
                    lanes[lane]["average"] = average_of(cell.settings.train)
                for what, kept in outcome.weights.items():
                    which = what if what == "averaged" else str(kept.steps[i, j])
                    collections = {"params": kept.params, "batch_stats": kept.batch_stats}
                    of_lane = {name: leaf[i, j] for name, leaf in named(collections).items() if name in used}
                    of_lane |= {"input/mean": mean[i], "input/std": std[i]}
                    tensors |= {f"{lane}/{which}/{name}": leaf for name, leaf in of_lane.items()}
        return cls(tensors, {"written_by": WRITTEN_BY, "lanes": json.dumps(lanes)})

    def write(self, folder: Path) -> Path:
        """Write them into the folder of the shard."""
        write_tensors(folder / WEIGHTS, self.tensors, self.about)
        return folder / WEIGHTS


def kept_of(outcome: Outcome, dataset: Dataset) -> KeptWeights | None:
    """What was kept of a shard, if anything."""
    return KeptWeights.of(outcome, dataset) if outcome.weights else None


def read_weights(file: Path, lane: str, step: int, averaged: bool = False) -> LaneWeights | None:
    """The weights of a lane after `step` steps, or their average, in a shard's file; None where they were not kept.

    Raises:
        ValueError, OSError: it cannot be read.
    """
    prefix = f"{lane}/{'averaged' if averaged else step}/"
    names = [name for name in tensor_names(file) if name.startswith(prefix)]
    if not names:
        return None
    about = read_about(file)
    of_lane = json.loads(about["lanes"])[lane]
    said = {"written_by": about["written_by"], "lane": lane, "step": step, **of_lane}
    if not averaged:
        said.pop("average", None)
    first, last = said["network"].pop("normed_steps", (0, None))
    if step < first or (last is not None and step >= last):  # BN that comes later, or has gone
        said["network"] |= {"normed_blocks": [False] * len(said["network"]["normed_blocks"]), "input_normed": False}
    return LaneWeights({name.removeprefix(prefix): tensor for name, tensor in read_tensors(file, names).items()}, said)


def names_in_use(settings: LaneSettings, image: tuple[int, ...], classes: int) -> set[str]:
    """What the weights of the lane's own network are called; programs that it shares with other lanes may have more."""
    from bn_ablate.engine.program import program_of

    return _names_of(program_of([settings], image, classes))


@cache
def _names_of(program: Program) -> set[str]:
    import jax

    from bn_ablate.engine.train import init_state

    state = jax.eval_shape(lambda: init_state(program, 0))
    return set(named({"params": state.params, "batch_stats": state.batch_stats}))


def named(tree: Any) -> dict[str, Any]:
    """The leaves of nested dictionaries, by their paths."""
    import jax

    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(str(step.key) for step in path): leaf for path, leaf in leaves}


def average_of(train: Train) -> dict[str, Any]:
    """What the average of a lane's weights is: of which kind, after how many steps it began, and with what decay."""
    decay = {"decay": train.average_decay} if train.average == "ema" else {}
    return {"kind": train.average, "from": train.averaged_from, **decay}


def network_of(settings: LaneSettings, image: tuple[int, ...], classes: int) -> dict[str, Any]:
    """What a lane's network is, to build it elsewhere: its settings, its shapes, and its description if there is one.

    `normed_blocks` says which blocks have BN, or what stands in its place, and `input_normed` whether the input has it;
    others may have γ and β that act on nothing.
    """
    model, network = settings.model, NETWORKS[settings.model.architecture]
    shapes = {"image": list(image), "classes": classes}
    shapes |= {"normed_blocks": list(settings.normed_blocks), "input_normed": settings.input_normed}
    if settings.normalizes and (settings.norm.since or settings.leaves_at):
        shapes["normed_steps"] = [settings.norm.since, settings.leaves_at or None]
    if not network.is_module:
        spec: NetworkSpec = network.given(image, model.depth, model.width)
        shapes |= {"blocks": [block._asdict() for block in spec.blocks], "flat": spec.flat, "mean": spec.mean}
    return {
        "network": shapes,
        "settings": settings.model_dump(mode="json", include={"data", "model", "norm", "dropout"}),
    }
