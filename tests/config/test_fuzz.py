"""Whatever a study file says, the answer is a study or a `ConfigError` with sentences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bn_ablate.config import ConfigError, LaneSettings, Study, build_study, load_study
from bn_ablate.config.factors import FACTORS, SECTIONS
from bn_ablate.plan import make_plan
from tests.config import levels
from tests.effort import examples

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SECTION_KEYS = [f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields]
WORDS = [
    *Study.model_fields,
    *FACTORS,
    "steps",
    "pre",
    "relu",
    "only_7",
    "sgd",
    "contrast",
    "equivalence",
    "interaction",
    "optimum_shift",
    "slope",
    "equivalent_level",
    "final_validation_loss",
    "axis",
    "each",
    "select",
    "gap",
    "C4",
    "",
]

words = st.one_of(st.sampled_from(WORDS), st.text(max_size=6))
numbers = st.one_of(st.integers(), st.integers(-2, 5), st.floats(), st.floats(0, 1))
scalars = st.one_of(words, st.booleans(), numbers, st.dates(), st.none())
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=6
)


@st.composite
def sound_tables(draw: st.DrawFn) -> dict[str, Any]:
    """Studies as people write them, small enough to be planned."""
    axes = draw(levels.axes(most=3))
    table: dict[str, Any] = {"name": "x", "seeds": draw(st.integers(1, 3)), "axes": axes}
    for key in draw(st.lists(st.sampled_from(sorted(levels.LEVELS)), max_size=3, unique=True)):
        section, field = FACTORS[key].path.split(".")
        table.setdefault(section, {})[field] = draw(st.sampled_from(levels.LEVELS[key]))
    if axes and draw(st.booleans()):
        axis = draw(st.sampled_from(sorted(axes)))
        side = {axis: draw(st.sampled_from(axes[axis]))}
        kinds = [
            {"kind": "contrast", "metric": "gap", "each": draw(st.sampled_from([[], [axis]]))},
            {"kind": "interaction", "metric": "gap", "c": {}, "d": side, "select": {"axis": axis}},
            {"kind": "optimum_shift", "metric": "best_validation_loss", "axis": axis, "a": {}},
            {"kind": "slope", "metric": "gap", "axis": axis, "scale": "log10"},
            {"kind": "equivalent_level", "metric": "gap", "axis": axis, "level": 0.1},
        ]
        hypothesis = {"id": "h", "statement": "s", "a": side, "b": {}} | draw(st.sampled_from(kinds))
        table |= draw(st.sampled_from([{"exclude": [side]}, {"hypotheses": [hypothesis]}]))
    return table


@st.composite
def spoiled_tables(draw: st.DrawFn) -> dict[str, Any]:
    """Sound tables with some value somewhere replaced, or a key added."""
    table = draw(sound_tables())
    for _ in range(draw(st.integers(1, 2))):
        here: Any = table
        key: Any = draw(st.sampled_from(sorted(table)))
        while isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
            here = here[key]
            key = draw(st.sampled_from(sorted(here)) if isinstance(here, dict) else st.integers(0, len(here) - 1))
        if isinstance(here, dict) and draw(st.booleans()):
            key = draw(words)
        here[key] = draw(anything)
    return table


tables = st.one_of(sound_tables(), spoiled_tables(), spoiled_tables(), st.dictionaries(words, anything, max_size=5))
overrides = st.lists(
    st.text(max_size=12) | st.builds("{}={}".format, st.sampled_from(SECTION_KEYS) | words, scalars.map(str)),
    max_size=2,
)


def check_refusal(error: ConfigError) -> None:
    assert error.problems
    assert all(problem.message for problem in error.problems)


@given(tables, overrides)
@settings(max_examples=examples(100, 2000), suppress_health_check=[HealthCheck.too_slow])
def test_any_table_gives_a_study_or_an_explained_refusal(table: dict[str, Any], overrides: list[str]) -> None:
    try:
        study = build_study(table, overrides)
        if math.prod(map(len, study.axes.values())) * len(study.seed_list) <= 200:
            plan = make_plan(study)
            assert 1 <= plan.n_lanes <= 200
    except ConfigError as error:
        check_refusal(error)


@given(sound_tables())
@settings(max_examples=examples(15, 400))
def test_every_cell_of_an_accepted_study_has_valid_settings(table: dict[str, Any]) -> None:
    try:
        plan = make_plan(build_study(table))
    except ConfigError as error:
        check_refusal(error)
        return
    for cell in plan.cells:
        assert LaneSettings.model_validate_json(cell.settings.model_dump_json(), strict=True) == cell.settings


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "study.toml"


@given(st.data())
@settings(max_examples=examples(40, 400), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_a_study_or_an_explained_refusal(file: Path, data: st.DataObject) -> None:
    content = (CONFIGS / "smoke.toml").read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = start + data.draw(st.integers(0, 12))
        content = content[:start] + data.draw(st.binary(max_size=6)) + content[stop:]
    file.write_bytes(content)
    try:
        assert load_study(file).seed_list
    except ConfigError as error:
        check_refusal(error)
