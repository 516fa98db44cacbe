from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bn_ablate.config.factors import FACTORS
from bn_ablate.sinks import run_names
from tests.config.levels import LEVELS


def test_a_lane_has_a_name_that_reads() -> None:
    levels = {"dropout_rate": 0.2, "activation": "relu", "placement": "pre"}
    assert run_names.lane_name(levels, 3) == "pre·relu·p0.2·s3"
    assert run_names.lane_name(dict(reversed(levels.items())), 3) == "pre·relu·p0.2·s3"
    assert run_names.group_name("ablate", levels) == "ablate · pre·relu·p0.2"
    assert (
        run_names.cell_name({"affine": "none", "placement": "none", "bn_epsilon": 1e-05}) == "none·affine-none·eps1e-05"
    )
    assert run_names.cell_name({"later": 3, "depth": 2}) == "d2·later=3"
    assert run_names.lane_name({}, 0) == "base·s0"


@pytest.mark.parametrize("factor", FACTORS)
def test_levels_of_a_factor_have_names_of_their_own(factor: str) -> None:
    found = {run_names.cell_name({"placement": "pre", factor: level}) for level in LEVELS[factor]}
    assert len(found) == len(LEVELS[factor])


def test_factors_without_a_prefix_share_no_level() -> None:
    bare = [str(level) for name, factor in FACTORS.items() if not factor.prefix for level in LEVELS[name]]
    assert len(bare) == len(set(bare))


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_ids_are_what_wandb_takes(study: str) -> None:
    for what in ("study", "0123456789abcdef"):
        run = run_names.run_id(study, what)
        assert len(run) <= run_names.LONGEST_ID
        assert re.fullmatch(r"[A-Za-z0-9._-]+", run)
        assert run.endswith(f"-{what}")


def test_long_names_that_differ_late_stay_different() -> None:
    long = "x" * 63
    assert run_names.run_id(long + "a", "0" * 16) != run_names.run_id(long + "b", "0" * 16)
    levels = dict.fromkeys(FACTORS, "y" * 20)
    other = levels | {"momentum": "z" * 20}
    assert run_names.group_name(long, levels) != run_names.group_name(long, other)
    assert len(run_names.lane_name(levels, 10)) <= run_names.LONGEST_NAME


@pytest.mark.parametrize(
    ("words", "tags"),
    [(["a", "", "digits", "a"], ("a", "digits")), (["k" * 70], ("k" * 64,)), ([], ())],
)
def test_tags_are_short_and_none_is_there_twice(words: list[str], tags: tuple[str, ...]) -> None:
    assert run_names.tags(words) == tags
