"""Examples that are read block by block give the bits of those that lie on the device."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.config.quantity import REQUESTS
from bn_ablate.data import draw_splits, load
from bn_ablate.engine import Engine, Outcome, execute, feed, shards_of
from bn_ablate.engine.passes import NOWHERE, all_parts
from bn_ablate.plan import make_plan

TABLE: dict[str, Any] = {
    "name": "streamed",
    "seeds": 1,
    "data": {"n_train": 50, "n_validation": 20, "n_test": 30},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 4, "batch_size": 16, "learning_rate": 0.01},
    "measure": {"every": 2, "eval_batch": 20},
    "axes": {"placement": ["none", "pre"]},
}
EVERYTHING: dict[str, Any] = TABLE | {
    "seeds": 3,
    "data": TABLE["data"] | {"random_labels": 0.3, "augment": "crop_flip", "augment_size": 1},
    "model": {"depth": 2, "width": 8, "kernel_init": "lsuv"},
    "train": TABLE["train"] | {"steps": 9, "average": "swa"},
    "measure": {"every": 4, "eval_batch": 20, "examples": 15, "also": list(REQUESTS)},
    "axes": {"placement": ["none", "pre"], "norm_statistics": ["own", "other_batch"]},
}


def test_the_passes_of_all_seeds_are_of_the_same_stretches_of_the_data_set() -> None:
    """Each example once, and as of its part; those that are always looked at come first."""
    dataset = load("digits")
    split = draw_splits(dataset, bn.build_study(TABLE, data={"n_train": None}).data, range(3))
    n = len(dataset.labels)
    for most in (None, 40):
        (indices, owners), few = all_parts(split, 256, most)
        counted = owners != NOWHERE
        for seed in range(3):
            for owner, part in enumerate(split):
                assert np.array_equal(np.sort(indices[seed][owners[seed] == owner]), part[seed])
            always = indices[seed, :few][counted[seed, :few]]
            assert len(always) == (n if most is None else 3 * most)
            assert np.array_equal(always, np.sort(always))
        assert most or (indices[0] == indices).all()


def trained(table: dict[str, Any], strategy: Any, streamed: bool) -> Outcome:
    (shard,) = shards_of(make_plan(bn.build_study(table)))
    return Engine(load("digits"), strategy, streamed=streamed).run(shard, keep_states=True)


def alike(some: Outcome, others: Outcome) -> None:
    found = (some.states, some.observations, some.chance), (others.states, others.observations, others.chance)
    for (path, a), b in zip(jax.tree.leaves_with_path(found[0]), jax.tree.leaves(found[1]), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


def test_blocks_give_the_bits_of_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(TABLE, "map", streamed=False)
    monkeypatch.setattr(feed, "BLOCK_BYTES", 3000)  # of 64 each: an evaluation of 100 in several
    read: list[int] = []
    give = feed.Streamed.give
    monkeypatch.setattr(feed.Streamed, "give", lambda *given: (read.append(1), give(*given))[1])
    alike(whole, trained(TABLE, "map", streamed=True))
    assert len(read) > 10  # two stretches; three evaluations, each of several blocks


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["map", "vmap"])
def test_blocks_give_the_bits_of_the_whole_set_whatever_is_asked_for(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random labels, crops, another batch's statistics, kernels fitted to a batch, averages, and all measures."""
    whole = trained(EVERYTHING, strategy, streamed=False)
    monkeypatch.setattr(feed, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(execute, "BLOCK_BYTES", 3 * 16 * 64 * 4)
    alike(whole, trained(EVERYTHING, strategy, streamed=True))
