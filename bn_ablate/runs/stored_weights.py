"""A lane of finished results as a network that computes: its weights where they were kept, else trained once more.

import bn_ablate as bn

lane = bn.load_lane("results/ablate", {"placement": "pre", "activation": "relu"}, seed=0)
lane.logits(lane.examples("test").images), lane.accuracy("test"), lane.replayed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from bn_ablate.config import ConfigError, Problem
from bn_ablate.config.extensions import require
from bn_ablate.config.given import whole_number
from bn_ablate.config.names import MOMENTS, Kept, Moment
from bn_ablate.plan import Plan, make_plan, restrict
from bn_ablate.plan.refusals import UNCHOSEN
from bn_ablate.runs.one_lane import LaneOnData
from bn_ablate.runs.predictions import Predictions
from bn_ablate.runs.run import data_of, plan_for, run

if TYPE_CHECKING:
    import numpy as np
    from flax import linen

    from bn_ablate.data import Dataset
    from bn_ablate.nn import Factors
    from bn_ablate.results import Held, Results
    from bn_ablate.results.weights import LaneWeights

At = Moment | int
"""Which weights of a lane: of the end, of the lowest validation loss, averaged ones at the end, or after some steps."""


@dataclass(frozen=True, repr=False)
class LoadedLane(LaneOnData):
    """A trained lane as a Flax module with its variables.

    Attributes:
        step: how many training steps it had done.
        network: the module; `network.apply(variables, x, factors, train=False)` are the logits of standardized images.
        variables: its `params` and `batch_stats`.
        factors: its traced settings, as the module takes them.
        weights: the same as tensors by name, as `bn-ablate weights` writes them.
        replayed: how they came about, where they were not stored: a sentence; else nothing.
    """

    step: int
    network: linen.Module
    variables: dict[str, Any]
    factors: Factors
    weights: LaneWeights
    replayed: str

    def __repr__(self) -> str:
        levels = ", ".join(f"{axis} {level}" for axis, level in self.cell.levels.items())
        how = "trained again" if self.replayed else "as stored"
        return f"LoadedLane({', '.join(filter(None, [levels, f'seed {self.seed}']))}, after {self.step} steps, {how})"

    def logits(self, images: np.ndarray) -> np.ndarray:
        """(examples, classes): of standardized images, as `examples` gives them, in eval mode."""
        import numpy as np

        size = self.program.measure.eval_batch
        logits, _ = _compiled()
        parts = (images[i : i + size] for i in range(0, len(images), size))
        return np.concatenate([logits(self.program, self.variables, self.factors, part) for part in parts])

    def accuracy(self, part: Literal["train", "validation", "test"]) -> float:
        """The share of a part that is classified rightly, computed as the run computed it.

        Raises:
            KeyError: there is no such part.
        """
        import jax
        import numpy as np

        from bn_ablate.engine.evaluate import Evaluation
        from bn_ablate.engine.passes import Pass, all_parts

        place = {name: i for i, name in enumerate(self.split._fields)}[part]
        (indices, owners), _ = all_parts(self.split, self.program.measure.eval_batch)
        _, scores = _compiled()
        passes = (
            scores(self.program, self.factors, self.variables, Pass(*jax.device_put((*self._labelled(some), of))))
            for some, of in zip(indices, owners, strict=True)
        )
        return float(np.asarray(Evaluation.of(reduce(lambda sums, more: sums.merged(more), passes)).accuracy)[place])

    def predictions(self, part: Literal["train", "validation", "test"]) -> Predictions:
        """What it says of a part, and what follows: accuracy by class, confusion matrix, calibration error.

        Raises:
            KeyError: there is no such part.
            ConfigError: it has no examples.
        """
        import jax
        import numpy as np

        images, labels = self.examples(part)
        if not len(labels):
            raise ConfigError("lane", [Problem("part", f"= {part}: has no examples; data.n_validation is 0")])
        probabilities = np.asarray(jax.nn.softmax(self.logits(images)))
        return Predictions(np.asarray(self.split._asdict()[part]), labels, probabilities)


@cache
def _compiled() -> tuple[Any, Any]:
    """Logits of a program's network, and its scores, each compiled once for a program and shape."""
    import jax

    from bn_ablate.engine.evaluate import scores
    from bn_ablate.engine.program import Program, at_precision

    @at_precision
    def logits(program: Program, variables: Any, factors: Factors, x: Any) -> Any:
        return program.network.apply(variables, x, factors, train=False)

    return jax.jit(logits, static_argnums=0), jax.jit(at_precision(scores), static_argnums=0)


def load_lane(
    results: Results | str | Path,
    levels: Mapping[str, Any] | None = None,
    seed: int | None = None,
    *,
    at: At = "final",
    data: Dataset | None = None,
    data_dir: Path | None = None,
) -> LoadedLane:
    """The lane of finished `results` at `levels` of their axes and a `seed`, which may be left out where there is one.

    Its weights are those that were stored, as `measure.keep` asked for. Where they were not, the lane is trained once
    more, in the layout that is recorded of it; `replayed` says so, and whether its numbers are those stored.

    Raises:
        ConfigError: the levels are not of one lane, or it has no weights `at` that: it was not measured at that step,
            has no average, or no validation examples to choose the best by.
        ResultsError: `results` are none, lack the lane, or are damaged.
        DataError: the data set is not there.
    """
    from bn_ablate.data import draw_split, moments, with_random_labels
    from bn_ablate.engine.program import program_of
    from bn_ablate.nn import lane_factors
    from bn_ablate.results import Results, open_results

    opened = results if isinstance(results, Results) else open_results(results)
    found = find_weights(opened, {**(levels or {}), **({} if seed is None else {"seed": seed})}, at, data, data_dir)
    cell, dataset = found.part.cells[0], data_of(found.part, data, data_dir)
    (seed,) = found.part.seeds
    split = draw_split(dataset, found.part.study.data, seed)
    mean, std = moments(dataset, cell.settings.data, split)
    import jax

    program = program_of([cell.settings], dataset.images.shape[1:], dataset.n_classes, jax.default_backend())
    return LoadedLane(
        cell=cell,
        seed=seed,
        program=program,
        dataset=dataset,
        split=split,
        labels=with_random_labels(dataset, cell.settings.data, split, seed),
        mean=mean,
        std=std,
        step=found.step,
        network=program.network,
        variables=jax.tree.map(jax.numpy.asarray, found.weights.variables),
        factors=lane_factors(cell.settings, program.structure).at(found.step, program.structure),
        weights=found.weights,
        replayed=found.replayed,
    )


@dataclass(frozen=True)
class Found:
    """The weights of one lane: of a part of a plan that is that lane alone, and how they came about if not stored."""

    part: Plan
    step: int
    weights: LaneWeights
    replayed: str = ""


def find_weights(
    results: Results, only: Mapping[str, Any], at: At, data: Dataset | None = None, data_dir: Path | None = None
) -> Found:
    """The weights of the lane of `results` that `only` says, stored or by training it once more; as of `load_lane`."""
    from bn_ablate.results import ResultsError, Store
    from bn_ablate.results.finished import weights_of

    require(results.study)
    plan = plan_for(results.study, data, data_dir) if data else make_plan(results.study)
    part = restrict(plan, only)
    lanes = {lane.id for lane in part.lanes}
    if len(lanes) > 1:
        open_axes = {
            axis: levels for axis, levels in (*part.study.axes.items(), ("seed", part.seeds)) if len(levels) > 1
        }
        said = "; ".join(f"{axis} {', '.join(map(str, levels))}" for axis, levels in open_axes.items())
        raise ConfigError("lane", [Problem("", f"these are {len(lanes)} lanes, and one is wanted: choose {said}")])
    (lane,) = lanes
    row = results.lanes.filter(lane_id=lane)
    held = Store(results.path).usable(plan).get(lane)
    if held is None or not row.height:
        raise ResultsError(f"{results.path}: does not hold this lane; `bn-ablate run` trains it")
    step = _step(at, row["best_step"][0], results.history.filter(lane_id=lane)["step"].to_list())
    averaged = at == "averaged"
    if averaged and part.cells[0].settings.train.average == "none":
        raise ConfigError(
            "lane", [Problem("at", "= averaged: the lane has no averaged weights; train.average keeps some")]
        )
    if stored := weights_of(held, lane, step, averaged):
        return Found(part, step, stored)
    kept: Kept = at if isinstance(at, str) else "measured"
    return _trained_again(results, part, held, step, kept, data, data_dir)


def _step(at: At, best: int | None, measured: list[int]) -> int:
    """The step that `at` says, one of those `measured`; `best` is that of the lowest validation loss, if any."""
    if isinstance(at, str):
        if at not in MOMENTS:
            known = ", ".join(MOMENTS)
            raise ConfigError("lane", [Problem("at", f"is {at!r}: {known}, or a step at which the lane was measured")])
        if at != "best":
            return measured[-1]
        if best is None:
            raise ConfigError("lane", [Problem("at", f"= best: {UNCHOSEN}")])
        return best
    if whole_number("at", at, 0) not in measured:
        known = ", ".join(map(str, measured[:12])) + (", …" if len(measured) > 12 else "")
        raise ConfigError("lane", [Problem("at", f"= {at}: the lane was not measured then, but at {known}")])
    return at


def _trained_again(
    results: Results, part: Plan, held: Held, step: int, kept: Kept, data: Dataset | None, data_dir: Path | None
) -> Found:
    from bn_ablate.results import Store, compare
    from bn_ablate.results.finished import weights_of

    measure = part.study.measure.model_copy(update={"keep": (kept,)})
    alone = replace(part, study=part.study.model_copy(update={"measure": measure}))
    with TemporaryDirectory() as place:
        again = run(alone, place, data=data, data_dir=data_dir, like=[held])
        ((lane, shard),) = Store(again.path).usable(alone).items()
        weights = weights_of(shard, lane, step, kept == "averaged")
        compared = compare(results, again)
    assert weights is not None
    assert compared is not None
    differing = int(compared["differing"].sum())
    same = (
        "with the numbers that are stored" if not differing else f"but {differing} of its numbers are not those stored"
    )
    how = "its weights were not kept (measure.keep), so it was trained again"
    return Found(part, step, weights, f"{how}, {same}")
