"""What a pooled verdict is an average of: estimates by hand at each level of what the sides are averaged over."""

from __future__ import annotations

from typing import Any

import pytest

from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.pooled import MOST_LEVELS, Part, parts
from bn_ablate.analysis.pages.verdict_cards import shown_verdict
from bn_ablate.config import build_study
from tests.analysis.test_kinds import NONE, PRE, lanes_of, noise, study_of

EFFECT = {"relu": -3.0, "tanh": -1.0, "sigmoid": 2.0}
CONTRAST = {"kind": "contrast", "a": PRE, "b": NONE, "alternative": "less"}


def gap(levels: dict[str, Any], seed: int) -> float:
    """BN's effect is that of the activation, the same in every seed but for a little noise."""
    return seed + (levels["placement"] == "pre") * EFFECT[levels["activation"]] + noise(levels, seed, 0.01)


def described(**said: Any) -> dict[str, dict[str, list[Part]]]:
    axes = {"placement": ["none", "pre"], "activation": list(EFFECT), "dropout_rate": [0.0, 0.5]}
    study = study_of(CONTRAST | said, seeds=6, **axes)
    lanes = lanes_of(study, gap)
    return parts(study, lanes, judge(study, lanes, resamples=99))


def test_each_level_of_what_is_averaged_over_has_its_estimate_and_no_verdict() -> None:
    axes = described()["h0"]
    assert list(axes) == ["activation", "dropout_rate"]
    estimates = {part.level: part.record["estimate"] for part in axes["activation"]}
    assert estimates == pytest.approx(EFFECT, abs=0.05)
    assert [part.level for part in axes["activation"] if part.opposite] == ["sigmoid"]
    assert all(
        low < EFFECT[part.level] < high for part in axes["activation"] for low, high in [part.record["interval"]]
    )
    assert [part.record["estimate"] for part in axes["dropout_rate"]] == pytest.approx([-2 / 3, -2 / 3], abs=0.05)
    assert not any(key in part.record for of in axes.values() for part in of for key in ("verdict", "reason"))


def test_what_is_not_averaged_over_has_no_parts() -> None:
    named = {"a": PRE | {"activation": "relu", "dropout_rate": 0.0}, "b": NONE | {"activation": "relu"}}
    assert described(**named) == {}  # neither one level alone, nor those of one side
    assert list(described(a=PRE | {"activation": ["relu", "sigmoid"]})["h0"]) == ["activation", "dropout_rate"]
    along = {"kind": "slope", "axis": "dropout_rate", "a": {}, "b": None, "alternative": "two-sided"}
    slope = {key: value for key, value in (CONTRAST | along).items() if value is not None}
    study = study_of(slope, seeds=6, placement=["none", "pre"], activation=list(EFFECT), dropout_rate=[0.0, 0.5])
    lanes = lanes_of(study, gap)
    assert list(parts(study, lanes, judge(study, lanes, resamples=99))["h0"]) == ["placement", "activation"]


def test_levels_without_cells_on_a_side_and_long_axes_are_left_out() -> None:
    rates = [i / 20 for i in range(MOST_LEVELS + 1)]
    axes = {"placement": ["none", "pre"], "activation": list(EFFECT), "dropout_rate": rates}
    asked = CONTRAST | {"id": "h", "statement": "s", "metric": "gap"}
    out = [{"placement": "pre", "activation": "tanh"}]
    study = build_study({"name": "x", "seeds": 3, "axes": axes, "exclude": out, "hypotheses": [asked]})
    lanes = lanes_of(study, gap)
    found = parts(study, lanes, judge(study, lanes, resamples=99))["h"]
    assert {axis: [part.level for part in of] for axis, of in found.items()} == {"activation": ["relu", "sigmoid"]}


def test_a_card_shows_them_with_the_units_of_the_whole() -> None:
    axes = {"placement": ["none", "pre"], "activation": list(EFFECT)}
    study = study_of(CONTRAST, seeds=6, **axes)
    lanes = lanes_of(study, gap)
    (record,) = judge(study, lanes, resamples=99)
    ((axis, levels),) = shown_verdict(record, parts(study, lanes, [record])["h0"])["pooled"]
    assert axis == "activation"
    assert [(level, text[0], opposite) for level, text, opposite in levels] == [
        ("relu", "−", False),
        ("tanh", "−", False),
        ("sigmoid", "+", True),
    ]
    assert shown_verdict(record)["pooled"] == []
