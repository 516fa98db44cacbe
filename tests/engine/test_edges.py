"""Where arithmetic breaks down, in which lane, and that it does so there alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.engine import Engine, Outcome, shards_of
from bn_ablate.engine.lanewise import Strategy
from bn_ablate.plan import make_plan
from bn_ablate.results.recording.frames import tables_of
from tests.engine.small import leaves

TABLE: dict[str, Any] = {
    "name": "edges",
    "seeds": 1,
    "data": {"n_train": 40, "n_validation": 40, "n_test": 40},
    "model": {"depth": 1, "width": 8, "activation": "relu"},
    "train": {"steps": 8, "batch_size": 10},
    "measure": {"every": 1},
}


def trained(engine: Engine, axes: dict[str, list[Any]] | None = None, **changes: Any) -> Outcome:
    (shard,) = shards_of(make_plan(bn.build_study(TABLE | {"axes": axes or {}} | changes)))
    return engine.run(shard, keep_states=True)


@pytest.mark.parametrize("strategy", ["map", pytest.param("vmap", marks=pytest.mark.slow)])
def test_a_lane_that_diverges_changes_no_bit_of_another(strategy: Strategy) -> None:
    """Beside lanes that explode, and in the same program beside lanes that do not."""
    engine = Engine(load("digits"), strategy)
    axes = {"placement": ["none", "pre"], "learning_rate": [0.05, 0.06, 0.07]}
    calm = trained(engine, axes)
    wild = trained(engine, axes | {"learning_rate": [0.05, 1e30, 3e38]})
    assert engine.timing.programs == 1
    assert (calm.diverged_at < 0).all()
    assert (wild.diverged_at[0] >= 0).tolist() == [False, True, True, False, True, True]
    for ours, theirs in ((calm.states, wild.states), (calm.observations, wild.observations)):
        expected = leaves(theirs)
        for path, leaf in leaves(ours).items():
            lanes = 1 if ours is calm.states else 2
            for lane in (0, 3):
                mine, other = (np.take(values, lane, axis=lanes) for values in (leaf, expected[path]))
                assert mine.tobytes() == other.tobytes(), (path, lane)
    tables = tables_of(wild)
    assert tables["lanes"]["status"].to_list() == ["ok", "diverged", "diverged"] * 2
    for (_, history), first in zip(
        tables["history"].group_by("lane_id", maintain_order=True), tables["lanes"]["diverged_at"], strict=True
    ):
        finite = np.isfinite(history["batch_loss"].to_numpy()[1:])
        assert first == (None if finite.all() else int(np.argmin(finite)))


def test_a_batch_of_one_example() -> None:
    """Its variance is 0, so BN gives β, whatever the input: all that is trained below it has a gradient of 0."""
    outcome = trained(Engine(load("digits")), norm={"placement": "pre"}, train={"steps": 8, "batch_size": 1})
    assert (outcome.diverged_at < 0).all()
    assert outcome.states is not None
    variance = np.asarray(outcome.states.batch_stats["block_0"]["norm"]["var"])[0, 0]
    np.testing.assert_allclose(variance, 0.9**8, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in leaves(outcome.states).values())


def test_fewer_examples_than_a_batch_and_than_classes() -> None:
    """4 examples are gone through again and again; a part that lacks most classes is measured on those it has."""
    data = {"n_train": 4, "n_validation": 3, "n_test": 2}
    outcome = trained(Engine(load("digits")), norm={"placement": "post"}, data=data)
    assert (outcome.diverged_at < 0).all()
    accuracy = np.asarray(outcome.observations.accuracy)
    for part, n in enumerate(data.values()):
        np.testing.assert_allclose(accuracy[..., part] * n, np.round(accuracy[..., part] * n), atol=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in leaves(outcome.observations).values())
