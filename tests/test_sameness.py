"""Cells that are the same network are one lane, make no axis of their own, and are not held to one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate.config import LaneSettings
from bn_ablate.plan import Plan, quick


def plan_of(**changes: Any) -> Plan:
    return bn.make_plan(bn.build_study({"name": "x", "seeds": 10} | changes))


def contrast(a: dict[str, Any], b: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "h", "statement": "s", "kind": "contrast", "metric": "gap", "a": a, "b": b} | changes


def test_gamma_at_the_ends_of_residuals_alone_starts_from_what_is_said_either_way() -> None:
    """The last block is the only one with BN, and ends a residual: both settings speak of the same γ."""
    base = LaneSettings().at({"architecture": "resnet", "depth": 3, "placement": "pre", "coverage": "last"})
    every, ends = base.at({"scale_init": 0.5}), base.at({"scale_init": 0.5, "residual_scale_init": 0.5})
    assert every.canonical == ends.canonical == ends.at({"scale_init": 2.0}).canonical == every.canonical.canonical
    assert every.canonical != base.canonical
    all_normed = [lane.at({"coverage": "all"}).at({"residual_scale_init": 0.25}) for lane in (every, base)]
    assert all_normed[0].canonical != all_normed[1].canonical


def problems_of(**changes: Any) -> dict[str, str]:
    with pytest.raises(bn.ConfigError) as caught:
        plan_of(**changes)
    return {problem.key: problem.message for problem in caught.value.problems}


NORMS = {"placement": ["none", "pre", "post"], "bn_momentum": [0.5, 0.9]}


@pytest.mark.parametrize(
    ("axes", "base", "where"),
    [
        ({"residual_norm": ["before_add", "after_add"]}, {}, "in a resnet"),
        ({"momentum": [0.0, 0.9]}, {"train": {"optimizer": "adam"}}, "with other optimizers than adam and adamw"),
        ({"nesterov": [False, True]}, {"train": {"optimizer": "adam"}}, "adam and adamw, at a momentum above 0"),
        ({"nesterov": [False, True]}, {"train": {"momentum": 0.0}}, "adam and adamw, at a momentum above 0"),
        ({"bn_epsilon": [1e-5, 1e-3]}, {"norm": {"coverage": "none"}}, "where the network has BN"),
        ({"norm_batch_size": [8, 16]}, {"norm": {"placement": "none"}}, "where the network has BN"),
        ({"scale_init": [0.1, 1.0]}, {"norm": {"affine": "bias"}}, "where BN has γ"),
        ({"dropout_kind": ["bernoulli", "uniform"]}, {}, "where dropout.rate is above 0"),
        ({"weight_decay": [0.0, 0.1]}, {"train": {"trainable": "affine_only"}}, "where kernels are trained"),
        (
            {"learning_rate": [0.01, 0.1]},
            {"train": {"trainable": "affine_only"}, "norm": {"placement": "none"}},
            "where something is trained",
        ),
        ({"decay_factor": [0.1, 0.5]}, {"train": {"schedule": "cosine"}}, "with train.schedule = step"),
        ({"warmup_steps": [0, 9]}, {"train": {"schedule": "one_cycle"}}, "where something is trained"),
        ({"average_decay": [0.9, 0.99]}, {"train": {"average": "swa"}}, "with train.average = ema"),
    ],
)
def test_an_axis_that_acts_nowhere_is_refused(axes: dict[str, list[Any]], base: dict[str, Any], where: str) -> None:
    (axis,) = axes
    found = problems_of(axes=axes | {"activation": ["relu", "tanh"]}, **base)
    assert list(found) == [f"axes.{axis}"]
    assert "makes no difference in any cell: it acts" in found[f"axes.{axis}"]
    assert where in found[f"axes.{axis}"]


@pytest.mark.parametrize(
    ("axis", "levels", "same"),
    [
        ("coverage", ["all", "only_0", "first"], '"only_0" and "first"'),
        ("optimizer", ["adam", "sgd", "adamw"], '"adam" and "adamw"'),
        ("warmup_steps", [0, 1, 5], "0 and 1"),
        ("dropout_site", ["block", "last"], '"block" and "last"'),
        ("norm_batch_size", [64, None, 32], "64 and null"),
    ],
)
def test_levels_that_are_the_same_network_are_refused(axis: str, levels: list[Any], same: str) -> None:
    found = problems_of(axes={axis: levels, "activation": ["relu", "tanh"]})
    assert f"{same}; leave one of them out" in found[f"axes.{axis}"]


def test_settings_that_are_the_same_network_are_one_lane() -> None:
    plan = plan_of(axes=NORMS)
    assert (len(plan.cells), plan.n_rows, plan.n_lanes, len(plan.lanes)) == (6, 60, 50, 50)
    none = [row.id for row in plan.rows if row.cell.levels["placement"] == "none" and row.seed == 3]
    assert len(none) == 2
    assert len(set(none)) == 1


@pytest.mark.parametrize(
    ("axes", "base", "programs"),
    [
        ({"placement": ["none", "pre"], "norm_batch_size": [8, 16]}, {}, 2),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.0, 0.9]}, {}, 3),
        ({"weight_decay": [0.0, 0.1]}, {"train": {"optimizer": "adamw"}}, 1),
        (
            {"trainable": ["all", "affine_only"], "placement": ["none", "pre"], "schedule": ["constant", "cosine"]},
            {},
            2,
        ),
    ],
)
def test_lanes_in_which_a_static_factor_does_not_act_cost_no_program(
    axes: dict[str, list[Any]], base: dict[str, Any], programs: int
) -> None:
    plan = plan_of(axes=axes, **base)
    assert len(plan.groups) == programs
    for group in plan.groups:
        for cell in group.cells:
            static = {name: level for name, level in _static(group.settings).items() if name in axes}
            assert cell.settings.at(static).canonical == cell.settings


def _static(settings: bn.LaneSettings) -> dict[str, Any]:
    from bn_ablate.config.factors import FACTORS

    return {name: factor.level(settings) for name, factor in FACTORS.items() if not factor.traced}


@pytest.mark.parametrize(
    "hypothesis",
    [
        contrast({"bn_momentum": 0.5}, {"bn_momentum": 0.9}),
        contrast({"bn_momentum": 0.5}, {"bn_momentum": 0.9}, kind="equivalence", margin=0.1),
        contrast(
            {"bn_momentum": 0.5, "placement": ["none", "pre"]}, {"bn_momentum": 0.9, "placement": ["none", "pre"]}
        ),
        {"id": "h", "statement": "s", "kind": "slope", "metric": "gap", "axis": "bn_momentum", "a": {}},
        contrast(
            {"bn_momentum": 0.5, "placement": "none"},
            {"bn_momentum": 0.9, "placement": "none"},
            kind="interaction",
            c={"bn_momentum": 0.5, "placement": "pre"},
            d={"bn_momentum": 0.9, "placement": "pre"},
        ),
    ],
    ids=lambda hypothesis: hypothesis["kind"],
)
def test_a_hypothesis_over_cells_where_its_factor_does_not_act_is_refused(hypothesis: dict[str, Any]) -> None:
    found = problems_of(axes=NORMS, hypotheses=[hypothesis])
    assert 'bn_momentum = 0.5 and bn_momentum = 0.9 make no difference at placement = "none"' in found["hypotheses.h"]
    elsewhere = "name cells that differ" if hypothesis["kind"] == "interaction" else "as in placement = "
    assert elsewhere in found["hypotheses.h"]


def test_the_remedy_is_accepted() -> None:
    having = {"placement": ["pre", "post"]}
    plan = plan_of(axes=NORMS, hypotheses=[contrast({"bn_momentum": 0.5} | having, {"bn_momentum": 0.9} | having)])
    assert plan.study.hypotheses


def test_a_quick_study_loses_levels_that_have_become_the_same_network() -> None:
    axes = {"architecture": ["mlp", "cnn", "resnet"], "residual_norm": ["before_add", "after_add"]}
    short = quick(bn.build_study({"name": "x", "seeds": 10, "model": {"depth": 3}, "axes": axes}))
    assert short.axes == {"architecture": ("mlp", "cnn"), "residual_norm": ("before_add",)}
    bn.make_plan(short)


def test_a_lane_is_trained_once_and_shown_in_each_cell_that_it_stands_for(tmp_path: Path) -> None:
    table = {
        "name": "x",
        "seeds": 2,
        "data": {"n_train": 60, "n_validation": 60, "n_test": 60},
        "model": {"depth": 1, "width": 4},
        "train": {"steps": 4, "batch_size": 20},
        "measure": {"every": 2},
        "axes": NORMS,
    }
    plan = bn.make_plan(bn.build_study(table))
    results = bn.run(plan, tmp_path)
    assert results.lanes.height == 12
    assert results.networks.height == results.manifest["lanes"]["finished"] == plan.n_lanes == 10
    none = results.lanes.filter(placement="none").sort("seed", "bn_momentum")
    assert none["lane_id"].n_unique() == 2
    numbers = none.drop("bn_momentum", "placement")
    assert numbers[::2].equals(numbers[1::2])
    for table in (results.history, results.layers, results.histograms):
        keys = [key for key in ("lane_id", "step", "layer", "site") if key in table.columns]
        assert table.select(pl.struct(keys).is_duplicated().any()).item() is False
        assert table["lane_id"].n_unique() == 10
    assert bn.run(plan, tmp_path).lanes.equals(results.lanes)
