"""Lane ids say what a lane is and nothing else; groups share a program; shards cover what is missing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from bn_ablate.config import LaneSettings, build_study
from bn_ablate.config.factors import FACTORS, SECTIONS, SETTINGS
from bn_ablate.config.quantity import REQUESTS
from bn_ablate.config.registry import REGISTRIES
from bn_ablate.engine.shards import shards_of
from bn_ablate.plan import Plan, cells_of, lane_id, make_plan
from bn_ablate.plan.sameness import idle_axes
from tests.config import levels
from tests.effort import examples

TABLE: dict[str, Any] = {
    "name": "x",
    "seeds": 2,
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]},
    "hypotheses": [
        {
            "id": "h",
            "kind": "contrast",
            "statement": "s",
            "metric": "gap",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        }
    ],
}


def plan_of(**changes: Any) -> Plan:
    return make_plan(build_study(TABLE | changes))


def ids(plan: Plan) -> dict[tuple[Any, ...], str]:
    """Lane ids by levels (in the order of the axes' names) and seed."""
    return {(*(level for _, level in sorted(row.cell.levels.items())), row.seed): row.id for row in plan.rows}


def grid(axes: dict[str, list[Any]], **changes: Any) -> Plan:
    """The plan of a grid in which every axis makes a difference."""
    study = build_study({"name": "x", **levels.ACTING, "axes": axes} | changes)
    if any(idle_axes(study, cells_of(study))):
        reject()
    return make_plan(study)


@pytest.mark.parametrize(
    ("table", "seed", "expected"),
    [
        ({}, 0, "2cce40f46836bce1"),
        (
            {"norm": {"placement": "post"}, "dropout": {"rate": 0.2}, "train": {"learning_rate": 1e-3}},
            3,
            "961f7a29a564dc73",
        ),
        (
            {"data": {"name": "mnist", "n_train": 300}, "model": {"activation": "tanh", "depth": 5}},
            2**31 - 1,
            "59b3f6749816e730",
        ),
    ],
)
def test_ids_are_the_same_on_every_machine(table: dict[str, Any], seed: int, expected: str) -> None:
    """Written down once: results stored today must be found tomorrow. When one changes, raise `LANE_FORMAT`."""
    (lane,) = make_plan(build_study({"name": "x", "seeds": [seed]} | table)).lanes
    assert lane.id == expected


def test_an_id_does_not_depend_on_whether_an_axis_or_a_section_says_it() -> None:
    by_axis = make_plan(build_study({"name": "x", "seeds": 1, "axes": {"width": [64], "activation": ["tanh"]}}))
    by_section = make_plan(build_study({"name": "x", "seeds": 1, "model": {"width": 64, "activation": "tanh"}}))
    assert by_axis.lanes[0].id == by_section.lanes[0].id


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "renamed", "title": "A title", "description": "Words.", "claim": "C4"},
        {"hypotheses": []},
        {"seeds": 5},
        {"seeds": [9, 1, 0]},
        {"axes": {"placement": ["none", "pre", "post"], "dropout_rate": [0.0, 0.5]}},
        {"axes": {"placement": ["pre", "none"], "dropout_rate": [0.5, 0.2, 0.0]}},
        {"axes": {"dropout_rate": [0.0, 0.5], "placement": ["none", "pre"]}},
        {"axes": {"placement": ["none", "pre"], "dropout_rate": [0, 0.5]}},
        {"exclude": [{"placement": "pre", "dropout_rate": 0.5}]},
        {"train": {"learning_rate": 0.1, "momentum": 0.90, "steps": 400}},
        {"train": {"weight_decay": 0}},
    ],
)
def test_a_change_of_the_study_leaves_its_lanes_alone(changes: dict[str, Any]) -> None:
    before, after = ids(plan_of()), ids(plan_of(**changes))
    shared = before.keys() & after.keys()
    assert len(shared) >= 6
    assert all(before[lane] == after[lane] for lane in shared)


def other_values(section: BaseModel, field: str) -> Iterator[Any]:
    """Values of `field` other than that of `section`: every other name, or a number nearby."""
    default = getattr(section, field)
    known = next((registry.own for registry in REGISTRIES.values() if registry.path.endswith(f".{field}")), ())
    names = get_args(type(section).model_fields[field].annotation) or known
    if field == "coverage":
        yield from ("none", "first", "only_1")
    elif field == "name":
        yield "mnist"
    elif default is None:
        yield from (50, 51)
    elif field == "milestones":
        yield from ((100,), (0.5,), (100, 200))
    elif isinstance(default, tuple):
        yield from ((measure,) for measure in REQUESTS)
    elif isinstance(default, bool):
        yield not default
    elif isinstance(default, str):
        yield from (name for name in names if name != default)
    elif isinstance(default, int):
        yield default + 2  # a depth that a resnet has, too
    else:
        yield from (default / 2 if default else 0.25, default * 1.0001 if default else 1e-4)


KEYS = [(section, field) for section, model in SECTIONS.items() for field in model.model_fields]


@pytest.mark.parametrize(("section", "field"), KEYS, ids=[".".join(key) for key in KEYS])
def test_any_change_of_a_setting_makes_another_lane(section: str, field: str) -> None:
    factor = next((name for name, of in SETTINGS.items() if of.path == f"{section}.{field}"), "")
    stated = levels.ACTING | levels.ACTING_WITH.get(factor, {})
    acting = {name: SECTIONS[name](**stated.get(name, {})) for name in SECTIONS}
    changed = [{field: value} for value in other_values(acting[section], field)]
    assert changed
    all_of_them = [acting, *(acting | {section: acting[section].model_copy(update=change)} for change in changed)]
    assert len({lane_id(LaneSettings(**sections).canonical, 0) for sections in all_of_them}) == len(changed) + 1


def test_another_seed_is_another_lane() -> None:
    assert len({lane_id(LaneSettings(), seed) for seed in range(100)}) == 100


def test_lanes_are_in_the_order_of_their_first_cells() -> None:
    """Without BN the side of an addition makes no difference: the first network comes again after the second."""
    plan = grid({"residual_norm": ["before_add", "after_add"], "placement": ["none", "pre"]}, seeds=[0])
    assert len(plan.lanes) < len(plan.rows)
    assert [lane.id for lane in plan.lanes] == list(dict.fromkeys(row.id for row in plan.rows))


@given(levels.axes(), st.data())
@settings(max_examples=examples(15, 60))
def test_a_grid_is_the_product_of_its_axes(axes: dict[str, list[Any]], data: st.DataObject) -> None:
    seeds = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True))
    plan = grid(axes, seeds=seeds)
    n_cells = 1
    for some in axes.values():
        n_cells *= len(some)
    assert plan.n_rows == len(plan.rows) == n_cells * len(seeds)
    assert [row.seed for row in plan.rows] == seeds * n_cells
    for cell in plan.cells:
        for axis, level in cell.levels.items():
            assert FACTORS[axis].level(cell.stated) == level
    assert plan.n_lanes == len(plan.lanes) == len({row.id for row in plan.rows})
    assert list(dict.fromkeys(row.id for row in plan.rows)) == [lane.id for lane in plan.lanes]
    trained = [cell.lane_id(0) for group in plan.groups for cell in group.cells]
    assert len(trained) == len(set(trained))
    assert set(trained) == {cell.lane_id(0) for cell in plan.cells}


@given(levels.axes(), st.randoms(use_true_random=False))
@settings(max_examples=examples(15, 60))
def test_ids_do_not_depend_on_order(axes: dict[str, list[Any]], order: random.Random) -> None:
    shuffled = {axis: order.sample(axes[axis], len(axes[axis])) for axis in order.sample(list(axes), len(axes))}
    assert ids(grid(axes, seeds=2)) == ids(grid(shuffled, seeds=2))


@given(levels.axes(), st.data())
@settings(max_examples=examples(15, 60))
def test_exclusions_leave_out_what_they_name_and_nothing_else(axes: dict[str, list[Any]], data: st.DataObject) -> None:
    assume(axes)
    named = data.draw(st.lists(st.sampled_from(sorted(axes)), min_size=1, unique=True))
    rule = {axis: data.draw(levels.some_of(tuple(axes[axis]))) for axis in named}
    assume(any(set(rule[axis]) != set(axes[axis]) for axis in named))
    whole = ids(grid(axes, seeds=1))
    left = grid(axes, seeds=1, exclude=[rule])
    out = [lane for lane in whole if all(lane[sorted(axes).index(axis)] in rule[axis] for axis in named)]
    assert ids(left) == {lane: name for lane, name in whole.items() if lane not in out}
    assert not any(cell.matches(rule) for cell in left.cells)


@pytest.mark.parametrize("factor", FACTORS)
def test_traced_factors_share_a_program_and_static_ones_do_not(factor: str) -> None:
    acting = levels.ACTING | levels.ACTING_WITH.get(factor, {})
    plan = make_plan(build_study({"name": "x", **acting, "axes": {factor: list(levels.LEVELS[factor])}}))
    assert len(plan.groups) == (1 if FACTORS[factor].traced else len(levels.LEVELS[factor]))


def test_the_whole_main_grid_is_one_group() -> None:
    traced = {name: list(levels.LEVELS[name]) for name, factor in FACTORS.items() if factor.traced}
    few = ("bn_momentum", "bn_epsilon", "learning_rate", "scale_init", "bias_init", "dropout_kind", "trainable")
    few += ("weight_decay", "affine", "residual_norm", "r_max", "d_max", "decay_on", "label_smoothing", "clip_norm")
    few += ("residual_scale_init", "alpha_init", "weight_standardization", "norm_statistics", "norm_noise")
    few += ("moving_variance", "moving_average", "frozen_from", "epsilon_on", "norm_noise_after", "bn_momentum_end")
    few += ("norm_since", "norm_until")
    traced |= {name: traced[name][:1] for name in few} | {"norm_kind": traced["norm_kind"][:2]}
    assert len(make_plan(build_study({"name": "x", **levels.ACTING, "axes": traced})).groups) == 1


def test_static_factors_multiply() -> None:
    plan = make_plan(
        build_study({"name": "x", "axes": {"placement": ["none", "pre"], "depth": [2, 3], "width": [8, 16, 32]}})
    )
    assert [len(group.cells) for group in plan.groups] == [2] * 6
    assert {(group.settings.model.depth, group.settings.model.width) for group in plan.groups} == {
        (depth, width) for depth in (2, 3) for width in (8, 16, 32)
    }


@given(levels.axes(3), st.integers(1, 5), st.integers(1, 40), st.data())
@settings(max_examples=examples(20, 80))
def test_shards_cover_exactly_what_is_missing(
    axes: dict[str, list[Any]], seeds: int, max_lanes: int, data: st.DataObject
) -> None:
    plan = grid(axes, seeds=seeds)
    every = [lane.id for lane in plan.lanes]
    finished = set(data.draw(st.lists(st.sampled_from(every), unique=True))) | {"of another study"}
    shards = shards_of(plan, finished, max_lanes)
    covered = [name for shard in shards for name in shard.lane_ids]
    assert sorted(covered) == sorted(set(every) - finished)
    assert len({shard.id for shard in shards}) == len(shards)
    groups = [group.cells for group in plan.groups]
    for shard in shards:
        assert shard.group in groups
        assert set(map(id, shard.cells)) <= set(map(id, shard.group))
        assert len(shard.lane_ids) == len(shard.cells) * len(shard.seeds)
        assert len(shard.lane_ids) <= shard.room * shard.seed_room <= max_lanes
        assert len(shard.cells) <= shard.room
        assert len(shard.seeds) <= shard.seed_room
        assert shard.room == 1 or shard.seed_room == len(shard.seeds)


@given(st.integers(1, 100), st.integers(1, 12), st.integers(1, 256))
@settings(max_examples=examples(15, 60))
def test_the_shards_of_a_fresh_grid_are_few_and_even(n_cells: int, seeds: int, max_lanes: int) -> None:
    plan = make_plan(
        build_study({"name": "x", "seeds": seeds, "axes": {"learning_rate": [0.001 * (i + 1) for i in range(n_cells)]}})
    )
    shards = shards_of(plan, max_lanes=max_lanes)
    cells_at_once, seeds_at_once = max(1, max_lanes // seeds), min(max_lanes, seeds)
    of_a_cell = -(-seeds // seeds_at_once)
    assert len(shards) == -(-n_cells // cells_at_once) * of_a_cell
    assert len({(shard.room, shard.seed_room) for shard in shards}) == 1
    assert all(len(shard.cells) == shard.room for shard in shards[:-of_a_cell])
    assert all(shard.seed_room - len(shard.seeds) < of_a_cell for shard in shards)


def test_a_shard_is_named_by_its_lanes() -> None:
    (shard,) = shards_of(plan_of())
    (turned,) = shards_of(plan_of(seeds=[1, 0], axes={"dropout_rate": [0.5, 0.0], "placement": ["pre", "none"]}))
    (less,) = shards_of(plan_of(), {shard.lane_ids[0], shard.lane_ids[4]})
    assert shard.id == turned.id
    assert shard.id != less.id


def test_a_finished_plan_has_no_shards() -> None:
    plan = plan_of()
    assert shards_of(plan, {lane.id for lane in plan.lanes}) == []
