"""One network of a study, trained alone, with all that another framework needs to rebuild it.

import bn_ablate as bn

study = bn.load_study("configs/smoke.toml")
lane = bn.train_lane(study, {"placement": "pre", "activation": "relu"}, seed=0)
lane.initial.params, lane.batch(step=17).images, lane.noise(step=17), lane.state.params
lane.examples("test").images, lane.tables["lanes"]["final_test_loss"]
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from bn_ablate.config import Study
from bn_ablate.config.extensions import require
from bn_ablate.config.given import one_word
from bn_ablate.plan import Cell
from bn_ablate.runs.layout import Strategy
from bn_ablate.runs.run import data_of, plan_for

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bn_ablate.data import Dataset, Split
    from bn_ablate.engine.examples import SeedExamples
    from bn_ablate.engine.program import Program
    from bn_ablate.engine.train import TrainState


class Labelled(NamedTuple):
    """Examples as a network is given them.

    Attributes:
        images: (examples, height, width, channels), float32, standardized.
        labels: (examples,), int32.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, repr=False)
class LaneOnData:
    """A lane and the examples it sees.

    Attributes:
        cell: its levels and settings.
        seed: its seed.
        program: the static settings of its program.
        dataset: the whole data set, as stored: images and labels.
        split: indices of its training, validation and test examples in the data set.
        labels: of all examples of the data set, as the lane sees them: those that `data.random_labels` replaced.
        mean, std: (height or 1, width or 1, channels), what it standardizes images with, `(image − mean) / std`.
    """

    cell: Cell
    seed: int
    program: Program
    dataset: Dataset
    split: Split
    labels: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def examples(self, part: Literal["train", "validation", "test"]) -> Labelled:
        """All images and labels of a part, in the order of `split`, as the program computes them.

        Raises:
            KeyError: there is no such part.
        """
        parts = self.split._asdict()
        if part not in parts:
            raise KeyError(f"{part!r} is none of {', '.join(parts)}")
        return self._labelled(parts[part])

    @property
    def _seed_examples(self) -> SeedExamples:
        import numpy as np

        from bn_ablate.engine.examples import SeedExamples

        return SeedExamples(self.mean, self.std, np.int32(self.seed))  # type: ignore[arg-type]

    def _labelled(self, indices: np.ndarray) -> Labelled:
        """The examples at `indices`, by the compiled function of training: NumPy's last bit may be another."""
        import jax
        import numpy as np

        from bn_ablate.engine.examples import Examples

        some = Examples(self.dataset.images[indices], self.labels[indices])
        images, labels = jax.jit(Examples.take)(some, np.arange(len(indices)), self._seed_examples)
        return Labelled(np.asarray(images), np.asarray(labels))


@dataclass(frozen=True, repr=False)
class TrainedLane(LaneOnData):
    """One lane, trained alone, with all that is needed to rebuild it in another framework.

    Attributes:
        state: parameters, moving statistics and optimizer state at the end.
        initial: the same before the first step.
        batch_indices: (steps, batch) positions into the training split.
        tables: its `lanes`, `history`, `layers` and `histograms`.
    """

    state: TrainState
    initial: TrainState
    batch_indices: np.ndarray
    tables: dict[str, pl.DataFrame]

    def __repr__(self) -> str:
        levels = ", ".join(f"{axis} {level}" for axis, level in self.cell.levels.items())
        accuracy = self.tables["lanes"]["final_test_accuracy"][0]
        return f"TrainedLane({', '.join(filter(None, [levels, f'seed {self.seed}']))}: test accuracy {accuracy:.2%})"

    def batch(self, step: int) -> Labelled:
        """The images and labels of training step `step`, from 0 on, in their order, as the program computes them.

        The images are augmented, where the study asks for that.

        Raises:
            IndexError: the lane has no such step.
        """
        if not 0 <= step < len(self.batch_indices):
            raise IndexError(f"step {step}: the lane has the steps 0 to {len(self.batch_indices) - 1}")
        import jax
        import numpy as np

        from bn_ablate.engine.train import augmented

        found = self._labelled(self.split.train[self.batch_indices[step]])
        seen = jax.jit(augmented, static_argnums=0)(self.program, self.seed, np.asarray([step]), found.images[None])
        return found._replace(images=np.asarray(seen[0]))

    def noise(self, step: int) -> tuple[np.ndarray, ...]:
        """The 16-bit random numbers behind the dropout masks of one step, block by block, shaped as the block's output.

        Those of the network's input come last, where the lane drops some of it (site `ic`). A unit is kept where its
        number reaches round(65536 · rate), and then divided by 1 − that share; docs/conventions.md says what uniform
        noise is.
        """
        import numpy as np

        from bn_ablate.engine.randomness import dropout_bits

        return tuple(np.asarray(bits) for bits in dropout_bits(self.seed, step, self.program.noise_shapes))

    def norm_noise(self, step: int) -> dict[str, np.ndarray]:
        """(2, batch, channels): the normal numbers of the noise of one step, by block, where `norm.noise` asks for it.

        The first are those on the scale, the second those on the mean; docs/conventions.md has the formula.
        """
        return self._drawn("noise", step)

    def noise_after(self, step: int) -> dict[str, np.ndarray]:
        """(2, batch, channels): the noise of strength 1 of one step, by block, where `norm.noise_after` asks for it.

        The first is that on the scale, the second that on the mean; docs/conventions.md has the formula.
        """
        return self._drawn("noise_after", step)

    def _drawn(self, key: str, step: int) -> dict[str, np.ndarray]:
        import numpy as np

        from bn_ablate.engine.randomness import NOISES

        if key not in self.program.noises:
            return {}
        drawn = NOISES[key](self.seed, step, self.program.channels, self.program.train.batch_size)
        return {name: np.asarray(numbers) for name, numbers in drawn.items()}


def train_lane(
    study: Study,
    levels: dict[str, Any] | None = None,
    seed: int = 0,
    *,
    strategy: Strategy = "auto",
    data: Dataset | None = None,
    data_dir: Path | None = None,
) -> TrainedLane:
    """Train one lane of `study`, at `levels` of any factors (the study's own settings stand for the rest), by itself.

    The data set is that of `data.name`, or `data`, as of `Dataset.from_arrays`.

    Raises:
        ConfigError: a factor, a level or the seed is not one.
        DataError: the data set is not there, or cannot be divided as the study says.
        DeviceError: the device does not compute what the CPU computes.
    """
    import jax

    from bn_ablate.config import build_study
    from bn_ablate.data import batch_indices, draw_split, moments, with_random_labels
    from bn_ablate.engine import Engine, Shard, ensure_checked
    from bn_ablate.engine.train import init_state
    from bn_ablate.nn import lane_factors
    from bn_ablate.results.recording.frames import tables_of

    one_word("strategy", strategy, get_args(Strategy))
    table = json.loads(study.model_dump_json(exclude={"axes", "exclude", "hypotheses"}))
    axes = {axis: [level] for axis, level in (levels or {}).items()}
    alone = build_study(table | {"axes": axes, "seeds": [seed]}, source=study.name)
    require(alone)
    plan = plan_for(alone, data, data_dir)
    (cell,), (seed,) = plan.cells, plan.seeds
    dataset = data_of(plan, data, data_dir)
    engine, shard = Engine(dataset, strategy), Shard((cell,), (cell,), (seed,), 1)
    ensure_checked(engine)
    outcome = engine.run(shard, keep_states=True)
    assert outcome.states is not None
    state: TrainState = jax.tree.map(lambda leaf: leaf[0, 0], outcome.states)
    program = engine.program(shard)
    factors = lane_factors(cell.settings, program.structure)
    split = draw_split(dataset, plan.study.data, seed)
    mean, std = moments(dataset, plan.study.data, split)
    lane = TrainedLane(
        cell=cell,
        seed=seed,
        state=state,
        initial=state,
        dataset=dataset,
        split=split,
        labels=with_random_labels(dataset, plan.study.data, split, seed),
        mean=mean,
        std=std,
        batch_indices=batch_indices(len(split.train), program.train.batch_size, seed, 0, program.train.steps),
        tables=tables_of(outcome),
        program=program,
    )
    first = lane.batch(0).images if program.fits else None
    return replace(lane, initial=jax.jit(init_state, static_argnums=0)(program, seed, factors, first))
