"""Many lanes at once: the numbers of a lane alone, common random numbers, one program, isolation."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate.data import load
from bn_ablate.engine import Engine, Outcome, executables, execute, many_lanes, programs, shards_of
from bn_ablate.engine.program import program_of
from bn_ablate.engine.shards import Shard
from bn_ablate.engine.train import init_state, loss_fn
from bn_ablate.nn import Factors
from bn_ablate.plan import make_plan
from tests.engine import small

# smooth activations: in a ReLU network an input that rounds to the other side of zero is no rounding error any more
TABLE: dict[str, Any] = {
    "name": "lanes",
    "seeds": 2,
    "data": {"n_train": 100, "n_validation": 40, "n_test": 40},
    "model": {"depth": 2, "width": 8},
    "train": {"steps": 50, "batch_size": 20, "learning_rate": 0.01},
    "measure": {"every": 5},
    "axes": {"placement": ["none", "pre", "post"], "activation": ["tanh", "gelu"], "dropout_rate": [0.0, 0.4]},
}
FEW = TABLE | {
    "seeds": [1],
    "model": TABLE["model"] | {"activation": "gelu"},
    "axes": {"dropout_rate": [0.4], "placement": ["post", "none", "pre"]},
}
"""Some of its lanes, in another order, and in a program of their own."""
STEP = 1e-2
"""Of a finite difference: of its square is what is left out, and of 1e-7 over it the rounding of float32."""


def only_shard(table: dict[str, Any]) -> Shard:
    (shard,) = shards_of(make_plan(bn.build_study(table)))
    return shard


def outcome_of(table: dict[str, Any], strategy: Any) -> Outcome:
    return Engine(load("digits"), strategy).run(only_shard(table), keep_states=True)


def agree(left: Any, right: Any, tolerance: float) -> None:
    for (path, a), b in zip(jax.tree.leaves_with_path(left), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance, rtol=tolerance, err_msg=jax.tree_util.keystr(path))


@pytest.fixture(scope="module")
def mapped() -> Outcome:
    return outcome_of(TABLE, "map")


@pytest.mark.slow  # tests/engine/test_selfcheck.py holds all lanes at once to one by one
def test_vmap_and_map_agree_after_50_steps(mapped: Outcome) -> None:
    together = outcome_of(TABLE, "vmap")
    agree(mapped.states.params, together.states.params, 1e-5)  # type: ignore[union-attr]
    agree(mapped.observations.loss, together.observations.loss, 1e-5)


@pytest.fixture(scope="module")
def few() -> Outcome:
    return outcome_of(FEW, "map")


@pytest.mark.slow  # below in a program of another study
@pytest.mark.parametrize("i", [0, 5, 11])
def test_a_solo_run_agrees(mapped: Outcome, i: int) -> None:
    shard = mapped.shard
    solo = Engine(load("digits")).run(Shard((shard.cells[i],), (shard.cells[i],), (1,), 1), keep_states=True)
    of_lane = jax.tree.map(lambda leaf: leaf[1, i], mapped.states.params)  # type: ignore[union-attr]
    agree(of_lane, jax.tree.map(lambda leaf: leaf[0, 0], solo.states.params), 1e-5)  # type: ignore[union-attr]


def test_other_levels_change_no_lane_and_uneven_numbers_are_padded_and_cut() -> None:
    """3 cells × 1 seed on two devices, in the program of another study: the padding must not show."""
    mapped, few = (outcome_of(table | {"model": table["model"] | {"depth": 1}}, "map") for table in (TABLE, FEW))
    every = mapped.shard.lane_ids
    places = [divmod(every.index(lane), len(mapped.shard.cells)) for lane in few.shard.lane_ids]
    assert few.diverged_at.shape == (1, 3)
    at = tuple(np.asarray(places).T)
    agree(few.states.params, jax.tree.map(lambda leaf: np.asarray(leaf)[at][None], mapped.states.params), 1e-5)  # type: ignore[union-attr]
    losses = np.asarray(mapped.observations.loss)[(slice(None), *at)]
    np.testing.assert_allclose(np.asarray(few.observations.loss)[:, 0], losses, atol=1e-5)


@pytest.mark.slow  # a shard of its program, whose other cells are elsewhere
def test_uneven_numbers_of_cells_and_seeds_are_padded_and_cut(mapped: Outcome) -> None:
    """5 cells × 1 seed on two devices: the padding must not show."""
    shard = mapped.shard
    some = Engine(load("digits")).run(Shard(shard.group, shard.cells[:5], (1,), 5), keep_states=True)
    assert some.diverged_at.shape == (1, 5)
    agree(some.states.params, jax.tree.map(lambda leaf: leaf[1:, :5], mapped.states.params), 1e-6)  # type: ignore[union-attr]


@pytest.mark.slow
def test_some_lanes_at_a_time_give_what_one_by_one_does(mapped: Outcome) -> None:
    """12 cells, 5 at a time: 3 more fill the last batch up, and must not show."""
    some = Engine(load("digits"), "map", at_once=5).run(mapped.shard, keep_states=True)
    agree(some.observations, mapped.observations, 1e-4)
    agree(some.states.params, mapped.states.params, 1e-5)  # type: ignore[union-attr]


def test_a_program_is_made_out_of_a_group_once_and_a_shard_that_brings_it_needs_no_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(execute, "program_of", lambda lanes, *of: asked.append(len(lanes)) or program_of(lanes, *of))
    engine, shards = Engine(load("digits")), shards_of(make_plan(bn.build_study(TABLE)), max_lanes=2)
    program = engine.program(shards[0])
    assert [engine.program(shard) for shard in shards] == [program] * len(shards)
    assert asked == [12]
    sent = pickle.loads(pickle.dumps(replace(shards[-1], group=(), program=program)))
    assert (engine.program(sent), sent.id, sent.lane_ids) == (program, shards[-1].id, shards[-1].lane_ids)
    assert len(pickle.dumps(sent)) < len(pickle.dumps(shards[-1]))
    assert asked == [12]


def test_all_cells_of_a_seed_begin_alike_and_seeds_differ() -> None:
    wanted, _ = Engine(load("digits"))._wanted(only_shard(TABLE))
    make = many_lanes.initial_on_mesh(wanted.program, wanted.layout)
    states = jax.jit(make)(wanted.examples, wanted.seeds, wanted.factors, wanted.first)
    for leaf in jax.tree.leaves(states.params):
        np.testing.assert_array_equal(leaf, np.broadcast_to(np.asarray(leaf)[:, :1], leaf.shape))
    kernel = np.asarray(states.params["block_0"]["linear"]["kernel"])
    assert not np.allclose(kernel[0, 0], kernel[1, 0])


@pytest.mark.slow  # above for the engine
def test_another_level_changes_no_stored_lane(tmp_path: Path) -> None:
    small = TABLE | {"axes": {"placement": ["none", "post"], "dropout_rate": [0.0, 0.4]}}
    large = TABLE | {"axes": {"dropout_rate": [0.4, 0.0, 0.2], "placement": ["pre", "post", "none"]}}
    few = bn.run(bn.build_study(small), tmp_path / "few").lanes
    many = bn.run(bn.build_study(large), tmp_path / "many").lanes
    assert set(few["lane_id"]) < set(many["lane_id"])
    both = few.join(many, on="lane_id", suffix="_many")
    assert both.height == few.height
    for name in ("final_train_loss", "final_test_loss", "best_validation_loss"):
        np.testing.assert_allclose(both[name], both[f"{name}_many"], atol=1e-5)


def test_one_trace_and_one_program_for_every_traced_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many levels, cells, seeds, shards, engines: what measures and what trains is traced and compiled once."""
    traces: Counter[str] = Counter()
    for name in ("look_at_lanes", "measure_lanes", "train_lanes"):
        original = getattr(many_lanes, name)
        monkeypatch.setattr(many_lanes, name, lambda *args, o=original, n=name: (traces.update([n]), o(*args))[1])
    axes = {
        "placement": ["none", "pre", "post"],
        "activation": ["sigmoid", "relu"],
        "affine": ["none", "both"],
        "dropout_rate": [0.0, 0.5],
        "learning_rate": [0.01, 0.1],
        "weight_decay": [0.0, 0.01],
        "bn_momentum": [0.8, 0.9],
    }
    table = TABLE | {"axes": axes, "train": TABLE["train"] | {"steps": 2}, "model": {"depth": 1, "width": 8}}
    plan = make_plan(bn.build_study(table))
    shards = shards_of(plan, max_lanes=128)
    assert len(plan.cells) == 192
    assert [len(shard.cells) for shard in shards] == [48, 48, 48]  # without BN 48 of the cells are networks of others
    programs.forget()
    monkeypatch.setattr(executables, "_folders", [])
    engine, other = Engine(load("digits")), Engine(load("digits"))
    for shard in shards:
        engine.run(shard)
    other.run(shards[0])
    assert traces == {"look_at_lanes": 1, "measure_lanes": 1, "train_lanes": 1}
    assert engine.timing.programs == other.timing.programs == 1
    assert engine.timing.lane_steps == plan.n_lanes * 2


@pytest.mark.slow  # tests/test_only.py holds a lane alone to the one in its grid
@pytest.mark.usefixtures("as_users_begin")
def test_a_lane_is_the_same_to_the_bit_however_seeds_and_devices_divide_the_work() -> None:
    """Five seeds on a device; or on two, in shards of two, two and one, which is filled up, by one program."""
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.4]}
    changes = {"model": {"depth": 1, "width": 8}, "train": TABLE["train"] | {"steps": 4}, "measure": {"every": 2}}
    plan = make_plan(bn.build_study(TABLE | {"axes": axes, "seeds": 5} | changes))
    seen = []
    for devices, most in ((1, 256), (2, 2)):
        engine = Engine(load("digits"), "map", jax.local_devices()[:devices])
        shards = shards_of(plan, max_lanes=most)
        lanes_seen: dict[str, list[np.ndarray]] = {}
        for shard in shards:
            found = engine.run(shard, keep_states=True)
            for i, lane in enumerate(shard.lane_ids):
                at = divmod(i, len(shard.cells))
                states = [np.asarray(leaf[at]) for leaf in jax.tree.leaves(found.states)]
                lanes_seen[lane] = states + [leaf[:, *at] for leaf in jax.tree.leaves(found.observations)]
        assert engine.timing.programs == 1
        seen.append(lanes_seen)
    assert [(len(shard.cells), len(shard.seeds), shard.seed_room) for shard in shards] == [
        (1, n, 2) for n in (2, 2, 1)
    ] * 2
    whole, divided = seen
    assert whole.keys() == divided.keys() == {lane.id for lane in plan.lanes}
    for lane in whole:
        for a, b in zip(whole[lane], divided[lane], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow  # tests/engine/test_edges.py asks the same of a smaller program
def test_a_lane_that_diverges_disturbs_no_other(tmp_path: Path) -> None:
    """At a learning rate of 10⁴ lanes without BN blow up; their neighbours end on the same bits as without them."""
    axes = {"placement": ["none", "pre"], "activation": ["relu"], "learning_rate": [0.01, 1e4]}
    wild = bn.run(bn.build_study(TABLE | {"axes": axes}), tmp_path / "wild")
    calm = bn.run(bn.build_study(TABLE | {"axes": axes | {"learning_rate": [0.01]}}), tmp_path / "calm")
    diverged = wild.lanes.filter(pl.col("status") == "diverged")
    assert diverged.height > 0
    assert set(diverged["learning_rate"]) == {1e4}
    assert diverged["diverged_at"].is_between(1, 50).all()
    histories = wild.history.filter(pl.col("lane_id").is_in(diverged["lane_id"].to_list()))
    assert histories.height == diverged.height * 11
    assert histories.filter(pl.col("step") == 0)["train_loss"].is_finite().all()
    both = calm.lanes.join(wild.lanes, on="lane_id", suffix="_wild")
    assert both.height == calm.lanes.height
    for name in ("final_train_loss", "final_test_loss", "best_test_accuracy"):
        assert (both[name] == both[f"{name}_wild"]).all(), name


def test_the_loss_gradient_against_finite_differences() -> None:
    """Through the whole network with dropout on, for smooth activations, with every factor traced: every lane along a
    direction that has a part in every parameter.
    """
    axes = {"placement": ["none", "pre", "post"], "activation": ["sigmoid", "tanh", "softplus", "gelu", "elu"]}
    cells, program, factors = small.lay_out(axes, dropout={"rate": 0.4})
    (batch,) = small.batches(program, 1)
    states = jax.jit(jax.vmap(partial(init_state, program, 0)))(factors)
    draw = np.random.default_rng(0)
    params, along = (
        jax.tree.map(
            lambda leaf, by=by: np.asarray(by * leaf + draw.normal(0, 0.3, leaf.shape), np.float32), states.params
        )
        for by in (1.0, 0.0)
    )

    @jax.jit
    @jax.vmap
    def slopes(lane: Factors, params: Any, stats: Any, along: Any) -> tuple[jax.Array, jax.Array]:
        loss = jax.jit(lambda params: loss_fn(program, lane, params, stats, batch)[0])
        there, back = (loss(jax.tree.map(lambda p, v, h=h: p + h * v, params, along)) for h in (STEP, -STEP))
        products = jax.tree.map(lambda g, v: jnp.sum(g * v), jax.grad(loss)(params), along)
        return (there - back) / (2 * STEP), sum(jax.tree.leaves(products))

    differences, got = slopes(factors, params, states.batch_stats, along)
    for i, cell in enumerate(cells):
        np.testing.assert_allclose(got[i], differences[i], rtol=1e-2, atol=1e-3, err_msg=str(cell.levels))
    assert np.median(np.abs(got)) > 0.1


def test_bfloat16_keeps_what_it_accumulates_in_float32() -> None:
    programs_of = {}
    for precision in ("float32", "bfloat16"):
        _, program, factors = small.lay_out({"placement": ["none", "pre"]}, train={"precision": precision})
        batches = small.stacked(small.batches(program, 1))
        programs_of[precision] = jax.make_jaxpr(partial(small.trained, program, "map"))(factors, batches)
    single, half = (f"bf16[{small.BATCH},4]" in str(made) for made in programs_of.values())
    assert (single, half) == (False, True)  # what each layer gives
    for made in programs_of.values():
        assert {np.dtype(leaf.dtype) for leaf in made.out_avals} == {np.dtype(np.float32), np.dtype(np.int32)}


@pytest.mark.slow
def test_bfloat16_computes_coarsely(few: Outcome) -> None:
    """A hundredth off while training has hardly begun; later it takes its own way, which rounding leads it further."""
    coarse = outcome_of(FEW | {"train": TABLE["train"] | {"precision": "bfloat16"}}, "map")
    assert coarse.observations.loss.dtype == np.float32
    assert coarse.steps[:2] == (0, 5)
    np.testing.assert_allclose(coarse.observations.loss[:2], few.observations.loss[:2], rtol=0.05)
    assert not np.array_equal(coarse.observations.loss, few.observations.loss)
    assert np.isfinite(coarse.observations.loss).all()


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "depth"), [("cnn", 4), ("resnet", 7)])
def test_convolutional_networks_train_alike_by_either_strategy_and_either_convolution(
    architecture: str, depth: int
) -> None:
    table = TABLE | {
        "seeds": 1,
        "model": {"architecture": architecture, "depth": depth, "width": 2},
        "train": TABLE["train"] | {"steps": 4},
        "measure": {"every": 2},
        "axes": {"placement": ["none", "pre", "post"], "activation": ["tanh"], "dropout_rate": [0.0, 0.3]},
    }
    mapped = outcome_of(table, "map")
    agree(mapped.observations.loss, outcome_of(table, "vmap").observations.loss, 1e-4)
    native = outcome_of(table | {"model": table["model"] | {"convolution": "native"}}, "vmap")
    agree(mapped.observations.loss, native.observations.loss, 1e-4)
    assert mapped.observations.layers["gradient_norm"].shape == (3, 1, 6, depth)
    assert np.all(mapped.observations.layers["gradient_norm"] > 0)
