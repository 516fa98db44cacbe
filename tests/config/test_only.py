from __future__ import annotations

from typing import Any

import pytest

from bn_ablate.config import ConfigError, build_study
from bn_ablate.config.only import check_only, parse_only

STUDY = build_study(
    {
        "name": "s",
        "seeds": [3, 1, 40],
        "axes": {"placement": ["none", "pre", "post"], "learning_rate": [1e-3, 0.1], "n_train": [None, 100]}
        | {"coverage": ["all", "without_1"]},
    }
)


@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        (["placement=pre"], {"placement": ("pre",)}),
        (["learning_rate=0.001, seed=40"], {"learning_rate": (1e-3,), "seed": (40,)}),
        (["learning_rate=1e-3", "learning_rate=0.10"], {"learning_rate": (1e-3, 0.1)}),
        (["seed=1,seed=3"], {"seed": (3, 1)}),
        (["n_train=none", "n_train=100"], {"n_train": (None, 100)}),
        (["coverage=without_1,coverage=without_1"], {"coverage": ("without_1",)}),
        ([], {}),
    ],
)
def test_words_become_levels_in_the_studys_order_and_types(words: list[str], chosen: dict[str, Any]) -> None:
    assert check_only(STUDY, parse_only(words)) == chosen


def test_values_are_taken_as_they_are() -> None:
    assert check_only(STUDY, {"seed": 1, "learning_rate": [0.1]}) == {"seed": (1,), "learning_rate": (0.1,)}


def test_every_mistake_is_named_with_what_was_meant() -> None:
    with pytest.raises(ConfigError) as error:
        check_only(STUDY, parse_only(["placment=pre", "placement=pst,seed=2", "learning_rate=fast"]) | {"n_train": []})
    said = {problem.key: problem.message for problem in error.value.problems}
    assert said["placment"].endswith("n_train, coverage, seed); did you mean 'placement'?")
    assert said["placement"] == "'pst' is none of none, pre, post; did you mean 'post'?"
    assert said["seed"] == "'2' is none of 3, 1, 40"
    assert said["learning_rate"] == "'fast' is none of 0.001, 0.1"
    assert said["n_train"] == "names no level"
    with pytest.raises(ConfigError, match="'2000' is none of the 1,000 from 0 to 999"):
        check_only(build_study({"name": "s", "seeds": 1000}), {"seed": "2000"})


@pytest.mark.parametrize("word", ["placement", "=pre", "placement=", "", "seed=1,"])
def test_words_of_another_form_are_reported(word: str) -> None:
    with pytest.raises(ConfigError, match="is not of the form axis=level, as in placement=pre or seed=3"):
        parse_only([word])
