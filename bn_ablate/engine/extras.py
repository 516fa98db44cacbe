"""What is measured of one lane only where the study asks for it, and is else not compiled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat, starmap
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from bn_ablate.config.measures import PARTS, START_AND_END
from bn_ablate.config.quantity import REQUESTS
from bn_ablate.engine.evaluate import Evaluation
from bn_ablate.engine.examples import Examples, SeedExamples
from bn_ablate.engine.optimizers import rate_shape
from bn_ablate.engine.passes import Chosen
from bn_ablate.engine.program import Program
from bn_ablate.engine.train import Batch, TrainState, loss_fn
from bn_ablate.engine.views import VIEWS
from bn_ablate.measure import MEASURES, ON_PROBE, Zeros, measured
from bn_ablate.nn import Factors


class Extras(NamedTuple):
    """The measures of `measure.also`, by their names; what was not asked for is not there.

    Those that need passes over whole splits are taken at the first and the last measurement, and are zeros in between.

    Attributes:
        history: of the whole network.
        layers: by hidden block.
    """

    history: dict[str, Float[Array, ""]]
    layers: dict[str, Float[Array, " depth"]]


def take_extras(
    program: Program,
    factors: Factors,
    state: TrainState,
    examples: Examples,
    seed: SeedExamples,
    chosen: Chosen,
    seen: dict[str, Any],
    thorough: Bool[Array, ""],
) -> Extras:
    """Measure what `program.measure.also` names; `thorough` is the first or the last measurement, which takes more.

    What is measured on the probe is not among it: that is seen where the probe is. Averaged weights are evaluated then
    too, where there are some. `seen` has what `views_of` names; of whole splits nothing else is looked at here.
    """
    often, dear = _asked(program)

    def look(names: list[str]) -> Extras:
        return Seen(names, program, factors, state, examples, seed, chosen, seen).measures

    def look_closely() -> Extras:
        closely = look(dear)
        of_average = by_part("averaged", Evaluation.of(seen["averaged"])) if averages else {}
        return closely._replace(history=closely.history | of_average)

    averages = program.train.average != "none"
    found = look(often)
    if dear or averages:
        nothing = jax.eval_shape(look_closely)
        more = lax.cond(
            thorough, look_closely, lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), nothing)
        )
        found = Extras(found.history | more.history, found.layers | more.layers)
    return found


def views_of(program: Program) -> tuple[set[str], set[str]]:
    """What of whole splits is seen at every measurement, and what at the first and the last besides: of `VIEWS`."""
    often, dear = (
        {_VIEW.get(name, name) for asked in some for name in MEASURES[asked].sees} for some in _asked(program)
    )
    always = {"evaluated"} | (often & VIEWS.keys())
    averaged = {"averaged"} if program.train.average != "none" else set()
    return always, ((dear & VIEWS.keys()) - always) | averaged


_VIEW = {"real_mean": "arriving", "real": "arriving"}
"""What measures see that is a part of a view."""


def _asked(program: Program) -> tuple[list[str], list[str]]:
    """The measures on request that are taken at every measurement, and those at the first and the last alone."""
    also = [name for name in program.measure.also if not on_probe(name)]
    dear = [name for name in also if REQUESTS[name].taken == START_AND_END]
    return [name for name in also if name not in dear], dear


@measured("evaluations")
def evaluations(recalibrated: Evaluation, batch: Evaluation) -> dict[str, Float[Array, ""]]:
    """Loss and accuracy on each part with recalibrated and with batch statistics."""
    return by_part("recalibrated", recalibrated) | by_part("batch", batch)


def by_part(how: str, evaluation: Evaluation) -> dict[str, Float[Array, ""]]:
    """The values of an evaluation by the names of their columns."""
    return {
        f"{how}_{part}_{what}": values[i]
        for i, part in enumerate(PARTS)
        for what, values in evaluation._asdict().items()
    }


@measured("recalibrated_apart")
def loss_by_parts(mean_recalibrated: Evaluation, variance_recalibrated: Evaluation) -> dict[str, Float[Array, ""]]:
    """Loss on each part with recalibrated means alone, and with recalibrated variances alone."""
    recalibrated = (("mean", mean_recalibrated), ("variance", variance_recalibrated))
    return {f"{of}_recalibrated_{part}_loss": some.loss[i] for of, some in recalibrated for i, part in enumerate(PARTS)}


@measured("train_mode")
def in_training(train_mode: Evaluation) -> dict[str, Float[Array, ""]]:
    """Loss and accuracy on the training examples with batch statistics."""
    return {f"train_mode_{what}": values[0] for what, values in train_mode._asdict().items()}


def on_probe(name: str) -> bool:
    """Whether the measure `name` is one by layer on the probe."""
    return set(MEASURES[name].sees) <= set(ON_PROBE)


class Seen:
    """What the measures of one lane see, by the names of their arguments; each is computed where one asks for it.

    A list has an entry for each hidden block, and makes a measure of it one by layer.
    """

    def __init__(
        self,
        names: list[str],
        program: Program,
        factors: Factors,
        state: TrainState,
        examples: Examples,
        seed: SeedExamples,
        chosen: Chosen,
        seen: dict[str, Any],
    ) -> None:
        """`names` are the measures that are to be taken."""
        self._asked = [MEASURES[name] for name in names]
        self._given = (program, factors, state, examples, seed)
        self._chosen, self._seen = chosen, seen
        self._blocks = [f"block_{i}" for i in range(program.model.depth)]
        self.params = state.params
        self.learning_rate = factors.learning_rate
        self.rate = factors.learning_rate * rate_shape(program.train, state.step)
        self.epsilon = factors.bn_epsilon

    @property
    def measures(self) -> Extras:
        """Those that are to be taken."""
        found = Extras({}, {})
        for asked in self._asked:
            views = [getattr(self, name) for name in asked.sees]
            if any(isinstance(view, list) for view in views):
                blocks = zip(*(view if isinstance(view, list) else repeat(view) for view in views), strict=False)
                found.layers.update(jax.tree.map(lambda *leaves: jnp.stack(leaves), *starmap(asked.formula, blocks)))
            else:
                found.history.update(asked.formula(*views))
        return found

    @property
    def gamma(self) -> list[Float[Array, " units"]]:
        """The scales of each block's BN, 1 where the lane has none."""
        use = self._given[1].use_scale
        return [jnp.where(use, self.params[name]["norm"]["scale"], 1.0) for name in self._blocks]

    @property
    def beta(self) -> list[Float[Array, " units"]]:
        """The biases of each block's BN, 0 where the lane has none."""
        use = self._given[1].use_bias
        return [jnp.where(use, self.params[name]["norm"]["bias"], 0.0) for name in self._blocks]

    @property
    def loss_and_gradient(self) -> Callable[[Any], tuple[Array, Any]]:
        """Those of parameters, on the first training examples with batch statistics and no dropout."""
        return self._on(self._chosen.batch)

    @property
    def next_loss_and_gradient(self) -> Callable[[Any], tuple[Array, Any]]:
        """The same on as many training examples after them; from the first on, where there are no more."""
        return self._on(self._chosen.after)

    def _on(self, some: Any) -> Callable[[Any], tuple[Array, Any]]:
        program, factors, state, examples, seed = self._given
        batch = Batch(*examples.take(some, seed), None)
        return jax.value_and_grad(lambda params: loss_fn(program, factors, params, state.batch_stats, batch)[0])

    @property
    def kernel(self) -> list[Float[Array, "..."]]:
        """The kernel of each block."""
        return [self.params[name]["linear"]["kernel"] for name in self._blocks]

    @property
    def train_mode(self) -> Evaluation:
        """The evaluation of the training examples with batch statistics; of the other parts nothing."""
        return Evaluation.of(self._seen["train_mode"])

    @property
    def moving_mean(self) -> list[Float[Array, " units"]]:
        """The moving mean of each block's BN."""
        return [self._given[2].batch_stats[name]["norm"]["mean"] for name in self._blocks]

    @property
    def real_mean(self) -> list[Float[Array, " units"]]:
        """The mean over the training set of what arrives at each block's BN in evaluation."""
        return [self._seen["arriving"][name]["norm"].mean for name in self._blocks]

    @property
    def moving(self) -> list[Float[Array, " units"]]:
        """The moving variance of each block's BN."""
        return [self._given[2].batch_stats[name]["norm"]["var"] for name in self._blocks]

    @property
    def real(self) -> list[Float[Array, " units"]]:
        """The variance over the training set of what arrives at each block's BN in evaluation."""
        return [self._seen["arriving"][name]["norm"].var for name in self._blocks]

    @property
    def recalibrated(self) -> Evaluation:
        """The evaluation with recalibrated in the place of moving statistics."""
        return Evaluation.of(self._seen["recalibrated"])

    @property
    def mean_recalibrated(self) -> Evaluation:
        """The evaluation with recalibrated means, and the moving variances as they are."""
        return Evaluation.of(self._seen["mean_recalibrated"])

    @property
    def variance_recalibrated(self) -> Evaluation:
        """The evaluation with recalibrated variances, and the moving means as they are."""
        return Evaluation.of(self._seen["variance_recalibrated"])

    @property
    def batch(self) -> Evaluation:
        """The evaluation with batch statistics."""
        return Evaluation.of(self._seen["batch"])

    @property
    def zeros(self) -> list[Zeros]:
        """The zeros of each block's activations over the training set, with recalibrated statistics."""
        return list(self._seen["zeros"])
