"""Averaged weights against their definition in NumPy, and their evaluation against one by hand."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.config import LaneSettings
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import init_state, train_step
from bn_ablate.nn import lane_factors
from bn_ablate.plan import quick_plan
from bn_ablate.plan.memory.estimate import lane_bytes
from tests.engine import small

STUDY: dict[str, Any] = {
    "name": "averaged",
    "seeds": 1,
    "data": {"n_train": 60, "n_validation": 40, "n_test": 50},
    "model": {"depth": 1, "width": 8, "activation": "relu"},
    "norm": {"momentum": 0.99},
    "train": {"steps": 8, "batch_size": 20, "learning_rate": 0.5, "average": "swa"},
    "measure": {"every": 4},
}
"""One lane, whose average begins after 6 of 8 steps."""

STEPS = 6
BASE = small.BASE.at({"depth": 1, "steps": STEPS})


def walked(settings: LaneSettings) -> tuple[list[Any], list[Any]]:
    """The parameters of a lane before the first step and after each, and the average after each."""
    program = program_of([settings], small.IMAGE, small.CLASSES)

    @jax.jit
    def walk(factors: Any, given: Any) -> Any:
        def step(state: Any, batch: Any) -> Any:
            state = train_step(program, factors, state, batch)
            return state, (state.params, state.average)

        start = init_state(program, 0, factors)
        return (start.params, start.average), jax.lax.scan(step, start, given)[1]

    given = small.stacked(small.batches(program, STEPS))
    (params, average), then = walk(lane_factors(settings, program.structure), given)
    every = [jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i]), then) for i in range(STEPS)]
    return [params, *(params for params, _ in every)], [average, *(average for _, average in every)]


def test_averages_are_those_of_their_definition() -> None:

    def along(trees: list[Any]) -> np.ndarray:
        return np.stack([np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in trees])

    path, averages = map(along, walked(BASE.at({"average": "swa", "average_start": 0.5})))
    for t, average in enumerate(averages):
        np.testing.assert_allclose(average, np.mean(path[min(t, 3) : t + 1], 0), rtol=1e-5, atol=1e-6)
    again, averages = map(along, walked(BASE.at({"average": "ema", "average_decay": 0.8, "average_start": 2})))
    np.testing.assert_allclose(again, path, rtol=1e-6, atol=1e-7)
    expected = path[2]
    for t, average in enumerate(averages):
        expected = path[t] if t <= 2 else 0.8 * expected + 0.2 * path[t]
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(expected - path[-1]).max() > 0.01  # else this would test but the last weights


def test_averaged_weights_are_evaluated_at_the_ends_with_the_statistics_of_the_training_set() -> None:
    lane = bn.train_lane(bn.build_study(STUDY))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, float), lane.state.average)
    block, head = params["block_0"], params["head"]

    def product(part: Any) -> tuple[np.ndarray, np.ndarray]:
        images, labels = lane.examples(part)
        return images.reshape(len(images), -1) @ block["linear"]["kernel"], labels

    of_training, _ = product("train")
    mean, deviation = of_training.mean(0), np.sqrt(of_training.var(0) + 1e-5)
    history = lane.tables["history"].rows_by_key("step", named=True, unique=True)
    for part in ("train", "validation", "test"):
        z, labels = product(part)
        x = np.maximum(block["norm"]["scale"] * (z - mean) / deviation + block["norm"]["bias"], 0.0)
        logits = x @ head["kernel"] + head["bias"]
        losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
        assert history[8][f"averaged_{part}_loss"] == pytest.approx(losses.mean(), rel=1e-4)
        assert history[8][f"averaged_{part}_accuracy"] == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-6)
        assert history[4][f"averaged_{part}_loss"] is None
        assert history[8][f"averaged_{part}_loss"] != history[8][f"{part}_loss"]
    row = lane.tables["lanes"].row(0, named=True)
    assert row["averaged_test_loss"] == history[8]["averaged_test_loss"]
    assert row["averaging_gain"] == row["averaged_test_accuracy"] - row["final_test_accuracy"]


def test_what_an_average_costs_is_a_copy_of_the_parameters_and_nothing_without() -> None:
    averaged, plain = BASE.at({"average": "ema"}), BASE
    momenta_and_weights = lane_bytes(plain) - lane_bytes(plain.at({"momentum": 0.0}))
    assert lane_bytes(averaged) - lane_bytes(plain) == momenta_and_weights
    program = program_of([plain], small.IMAGE, small.CLASSES)
    assert jax.tree.leaves(jax.eval_shape(lambda: init_state(program, 0)).average) == []


def test_an_average_that_never_begins_is_the_last_weights_and_said_to_be() -> None:
    late = BASE.at({"average": "swa", "average_start": 6})
    assert late.canonical == BASE.at({"average": "ema", "average_start": 9, "average_decay": 0.5}).canonical
    assert "= 6: never comes, in 6 steps, and averaged weights are the last ones" in [said for _, said in late.notes()]
    begun = BASE.at({"average": "swa", "average_start": 0.75})
    assert (
        begun.canonical
        == BASE.at({"average": "swa"}).canonical
        == BASE.at({"average": "swa", "average_start": 4}).canonical
    )
    assert begun.canonical.train.average_start is None


def test_a_hypothesis_of_averaged_weights_needs_some_and_a_quick_study_averages_as_early() -> None:
    hypothesis = {
        "id": "h",
        "kind": "contrast",
        "statement": "s",
        "metric": "averaged_test_accuracy",
        "alternative": "greater",
    }
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
    table = {"name": "s", "axes": {"placement": ["none", "pre"]}, "hypotheses": [hypothesis | sides]}
    with pytest.raises(bn.ConfigError, match=r"is of averaged weights, which train.average = 'ema' or 'swa' keeps"):
        bn.make_plan(bn.build_study(table))
    study = bn.build_study(table | {"train": {"average": "swa", "average_start": 300}})
    assert bn.make_plan(study).n_lanes == 20
    assert quick_plan(study).cells[0].settings.train.averaged_from == 9
