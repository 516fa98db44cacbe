"""What a study file may say, how overrides change it, and what it becomes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bn_ablate.config import ConfigError, Study, build_study, load_study
from bn_ablate.config.factors import FACTORS
from bn_ablate.config.names import coverage_mask
from bn_ablate.plan import make_plan

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
STUDIES = sorted(
    file for file in CONFIGS.rglob("*.toml") if file.parent.name != "published"
)  # those hold others' numbers
TABLE: dict[str, Any] = {"name": "x", "train": {"steps": 100}, "axes": {"placement": ["none", "pre"]}}


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_of_the_project_can_be_planned(file: Path) -> None:
    study = load_study(file)
    assert study.name == file.stem
    plan = make_plan(study)
    assert len({lane.id for lane in plan.lanes}) == plan.n_lanes


def test_a_name_alone_is_a_study() -> None:
    study = build_study({"name": "x"})
    assert study.seed_list == tuple(range(10))
    assert study.axes == {}
    assert make_plan(study).n_lanes == 10


def test_a_study_is_frozen() -> None:
    study = build_study(TABLE)
    with pytest.raises(ValidationError, match="frozen"):
        study.train.steps = 3  # type: ignore[misc]


def test_a_study_is_what_its_json_says() -> None:
    study = load_study(CONFIGS / "ablate.toml")
    assert build_study(json.loads(study.model_dump_json())) == study


@pytest.mark.parametrize(
    ("seeds", "expected"), [(1, (0,)), (3, (0, 1, 2)), ([7], (7,)), ([5, 0, 2**31 - 1], (5, 0, 2**31 - 1))]
)
def test_seeds_are_a_number_or_a_list(seeds: int | list[int], expected: tuple[int, ...]) -> None:
    assert build_study({"name": "x", "seeds": seeds}).seed_list == expected


def test_an_integer_stands_for_a_number() -> None:
    study = build_study(
        {"name": "x", "train": {"learning_rate": 1}, "axes": {"dropout_rate": [0, 0.5], "weight_decay": [1]}}
    )
    assert isinstance(study.train.learning_rate, float)
    assert [type(level) for level in study.axes["dropout_rate"] + study.axes["weight_decay"]] == [float] * 3


def test_rules_name_levels_in_any_spelling() -> None:
    table = {
        "name": "x",
        "axes": {"dropout_rate": [0.0, 0.5], "width": [8, 16]},
        "exclude": [{"dropout_rate": 0, "width": 8.0}],
    }
    levels = [tuple(cell.levels.values()) for cell in make_plan(build_study(table)).cells]
    assert levels == [(0.0, 16), (0.5, 8), (0.5, 16)]


@pytest.mark.parametrize(
    ("overrides", "path", "expected"),
    [
        (["train.steps=500"], "train.steps", 500),
        (["train.steps = 500"], "train.steps", 500),
        (["train.steps=1", "train.steps=2"], "train.steps", 2),
        (["train.learning_rate=1e-3"], "train.learning_rate", 1e-3),
        (["train.nesterov=true"], "train.nesterov", True),
        (["model.activation=gelu"], "model.activation", "gelu"),
        (["model.activation='gelu'"], "model.activation", "gelu"),
        (["title=a = b"], "title", "a = b"),
        (['title="a # b"'], "title", "a # b"),
        (["title=two\nlines = 2"], "title", "two\nlines = 2"),
        (["seeds=[3, 1]"], "seeds", (3, 1)),
        (["norm={ placement = 'post' }"], "norm.placement", "post"),
        (["data.n_train=50"], "data.n_train", 50),
        (["axes.width=[8, 16]"], "axes", {"placement": ("none", "pre"), "width": (8, 16)}),
        (["axes={}"], "axes", {}),
    ],
)
def test_overrides_set_keys(overrides: list[str], path: str, expected: Any) -> None:
    found: Any = build_study(TABLE, overrides)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected


@pytest.mark.parametrize(
    ("override", "key", "telling"),
    [
        ("train.steps", "train.steps", "is not of the form key=value, as in train.steps=500"),
        ("=500", "=500", "is not of the form key=value"),
        ("", '""', "is not of the form key=value"),
        ("name.first=x", "name.first", "cannot be set: 'name' is not a table"),
        ("train.steps.more=1", "train.steps.more", "cannot be set: 'steps' is not a table"),
        ("train.stesp=500", "train.stesp", "did you mean 'steps'?"),
        ("train.steps=", "train.steps", "is ''"),
        ("train.steps=many", "train.steps", "is 'many'"),
        ("train.steps=" + "1" * 5000, "train.steps", "valid integer"),
        ("train.steps=1\nseeds = 2", "train.steps", r"is '1\nseeds = 2'"),
        ("axes.placement=[pre]", "axes.placement", "is '[pre]': input should be a valid array"),
        ("train.steps=1979-05-27", "train.steps", "no key of a study takes such a value"),
        ("title=\udcff", "", "surrogate"),
        (".".join("a" * 5000) + "=1", "", "is nested too deeply"),
        ("title=" + "[" * 5000, "title", "is '[[[["),
    ],
)
def test_a_wrong_override_is_reported(override: str, key: str, telling: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_study(TABLE, [override])
    (problem,) = caught.value.problems
    assert problem.key == key
    assert telling in problem.message


def test_all_wrong_overrides_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        build_study(TABLE, ["steps", "name.x=1"])
    assert [problem.key for problem in caught.value.problems] == ["steps", "name.x"]


def test_overrides_leave_the_given_table_alone() -> None:
    table = copy.deepcopy(TABLE)
    assert build_study(table, ["train.steps=7", "axes.width=[3]", "seeds=2"]) != build_study(table)
    assert table == TABLE


@pytest.mark.parametrize(
    ("settings", "key", "telling"),
    [
        ({"norm": {"coverage": "only_3"}}, "norm.coverage", "names block 3, but depth = 3 has blocks 0 to 2"),
        (
            {"model": {"depth": 2}, "axes": {"coverage": ["all", "without_2"]}},
            "norm.coverage",
            "names block 2, but depth = 2",
        ),
        (
            {"train": {"warmup_steps": 50}, "axes": {"steps": [100, 50]}},
            "axes.steps[1]",
            "leaves no step of steps = 50",
        ),
        (
            {"model": {"architecture": "resnet"}, "axes": {"depth": [3, 18]}},
            "model.depth",
            "= 18 does not fit a resnet: a stem and two blocks per residual make 17 or 19",
        ),
        (
            {"model": {"depth": 2}, "axes": {"architecture": ["mlp", "resnet"]}},
            "model.depth",
            "= 2 does not fit a resnet: a stem and two blocks per residual make 3",
        ),
        ({"model": {"architecture": "resnet", "depth": 1}}, "model.depth", "= 1 does not fit a resnet"),
        (
            {"train": {"batch_size": 60}, "axes": {"norm_batch_size": [30, 16]}},
            "norm.batch_size",
            "= 16 does not divide train.batch_size = 60 into equal groups; 15 does",
        ),
        ({"axes": {"placement": ["pre"]}, "exclude": [{"placement": "pre"}]}, "exclude", "leaves nothing of the grid"),
    ],
)
def test_a_combination_that_cannot_be_is_reported(settings: dict[str, Any], key: str, telling: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(build_study({"name": "x"} | settings))
    (problem,) = caught.value.problems
    assert problem.key == key
    assert telling in problem.message


def test_a_combination_that_cannot_be_may_be_excluded() -> None:
    axes = {"depth": [2, 3], "coverage": ["all", "only_2"]}
    with pytest.raises(ConfigError, match="names block 2"):
        make_plan(build_study({"name": "x", "axes": axes}))
    plan = make_plan(build_study({"name": "x", "axes": axes, "exclude": [{"depth": 2, "coverage": "only_2"}]}))
    assert [tuple(cell.levels.values()) for cell in plan.cells] == [(2, "all"), (3, "all"), (3, "only_2")]


def test_a_hypothesis_that_lost_its_cells_is_reported() -> None:
    side = {"placement": "pre", "dropout_rate": 0.5}
    hypothesis = {
        "id": "h",
        "kind": "contrast",
        "statement": "s",
        "metric": "gap",
        "a": side,
        "b": {"placement": "none"},
    }
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    study = build_study({"name": "x", "axes": axes, "exclude": [side], "hypotheses": [hypothesis]})
    with pytest.raises(ConfigError, match=r"hypotheses\.h\.a: matches no cell: the exclusions leave none of them"):
        make_plan(study)


@pytest.mark.parametrize(
    ("exclude", "telling"),
    [
        (
            [{"placement": "pre", "dropout_rate": [0.2, 0.5]}],
            "has one level of 'dropout_rate' left after the exclusions",
        ),
        (
            [{"placement": "pre", "activation": "relu", "dropout_rate": 0.2}],
            "has 1 of 2 cells at dropout_rate = 0.2: the exclusions leave gaps",
        ),
    ],
)
def test_a_curve_with_gaps_is_reported(exclude: list[dict[str, Any]], telling: str) -> None:
    axes = {"placement": ["none", "pre"], "activation": ["relu", "tanh"], "dropout_rate": [0.0, 0.2, 0.5]}
    slope = {"id": "h", "kind": "slope", "statement": "s", "metric": "gap", "axis": "dropout_rate"}
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}}
    study = build_study({"name": "x", "axes": axes, "exclude": exclude, "hypotheses": [slope | sides]})
    with pytest.raises(ConfigError) as caught:
        make_plan(study)
    (problem,) = caught.value.problems
    assert problem.key == "hypotheses.h.a"
    assert telling in problem.message


def test_optima_among_other_levels_are_not_compared() -> None:
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.2, 0.5]}
    shift = {"id": "h", "kind": "optimum_shift", "statement": "s", "metric": "final_validation_loss"}
    sides = {"axis": "dropout_rate", "a": {"placement": "pre"}, "b": {"placement": "none"}}
    exclude = [{"placement": "pre", "dropout_rate": 0.5}]
    study = build_study({"name": "x", "axes": axes, "exclude": exclude, "hypotheses": [shift | sides]})
    with pytest.raises(ConfigError, match=r"hypotheses\.h: has other levels of 'dropout_rate' in a than in b"):
        make_plan(study)


def test_a_hypothesis_for_each_level_survives_the_manifest() -> None:
    axes = {"placement": ["none", "pre", "post"], "activation": ["relu", "tanh"], "n_train": [100, None]}
    contrast = {"id": "h", "kind": "contrast", "statement": "BN helps.", "metric": "gap"}
    sides = {"a": {"placement": ["pre", "post"], "n_train": 100}, "b": {"placement": "none"}}
    asked = contrast | sides | {"each": ["activation", "placement"]}
    study = build_study({"name": "x", "axes": axes, "hypotheses": [asked]})
    ids = ["h.relu.pre", "h.relu.post", "h.tanh.pre", "h.tanh.post"]
    assert [hypothesis.id for hypothesis in study.hypotheses] == ids
    assert study.hypotheses[1].statement == "BN helps (activation relu, placement post)"
    assert study.hypotheses[1].sides == {
        "a": {"placement": "post", "n_train": 100, "activation": "relu"},
        "b": {"placement": "none", "activation": "relu"},
    }
    assert build_study(study.model_dump(mode="json")) == study
    by_size = build_study({"name": "x", "axes": axes, "hypotheses": [asked | {"each": ["n_train"], "a": {}, "b": {}}]})
    assert [hypothesis.id for hypothesis in by_size.hypotheses] == ["h.100", "h.all"]


@pytest.mark.parametrize(
    ("coverage", "depth", "blocks"),
    [
        ("all", 3, {0, 1, 2}),
        ("none", 3, set()),
        ("first", 3, {0}),
        ("last", 3, {2}),
        ("first", 1, {0}),
        ("last", 1, {0}),
        ("every_other", 5, {0, 2, 4}),
        ("only_1", 3, {1}),
        ("without_1", 3, {0, 2}),
        ("only_12", 13, {12}),
        ("input", 3, set()),
    ],
)
def test_coverage(coverage: str, depth: int, blocks: set[int]) -> None:
    assert {i for i, covered in enumerate(coverage_mask(coverage, depth)) if covered} == blocks


def test_every_factor_is_a_setting() -> None:
    for name, factor in FACTORS.items():
        section, field = factor.path.split(".")
        assert field in type(getattr(Study(name="x"), section)).model_fields, name
    assert len({factor.path for factor in FACTORS.values()}) == len(FACTORS)
