"""Seeds until decided, without training: the error over the looks, which hypotheses stop when, and what goes on."""

from __future__ import annotations

import itertools
import math
from typing import Any

import calibration
import calibration_looks
import change_of_seeds
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from bn_ablate.analysis.judge import signs, spending, stats
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.outlook import first_looks
from bn_ablate.analysis.judge.shown import stop_text
from bn_ablate.analysis.judge.stopping import needed, stand
from bn_ablate.analysis.judge.words import few_seeds_lines, first_look_lines, look_line
from bn_ablate.config import ConfigError, Study, build_study
from bn_ablate.config.looks import Looks
from bn_ablate.plan import Part, cells_of, divisions, first_look, make_plan, portion, quick, restrict
from bn_ablate.plan.memory import Machine
from bn_ablate.plan.memory.estimate import DIGITS
from bn_ablate.runs.layout import Layout
from bn_ablate.runs.looking import look, looks_of
from tests.effort import examples

QUICK = 99
"""Resamples of intervals whose ends do not matter."""


@settings(max_examples=examples(15, 50))
@given(st.integers(1, 300), st.integers(2, 300), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_looks_share_the_whole_error_out_and_the_last_has_most_seeds(first: int, more: int, power: float) -> None:
    planned = Looks(first=first, most=first * more, until="decided").planned
    shares = spending.shares(planned, power)
    assert planned[0] == first
    assert planned[-1] == first * more
    assert all(after <= 2 * before for before, after in itertools.pairwise(planned))
    assert sum(shares) == pytest.approx(1)
    assert min(shares) > 0
    assert sum(shares[:2]) == pytest.approx((planned[1] / planned[-1]) ** power)
    assert spending.spent(planned, len(planned)) == 1


def test_the_shares_of_10_to_80_seeds() -> None:
    planned = Looks(first=10, most=80, until="decided").planned
    assert planned == (10, 20, 40, 80)
    assert spending.shares(planned) == (1 / 8, 1 / 8, 1 / 4, 1 / 2)
    assert spending.shares(planned, spending.INTERVALS) == (1 / 64, 3 / 64, 12 / 64, 48 / 64)
    assert spending.terms_of(planned, 1, 7) == stats.Terms(7, 1 - 0.05 / 64, 1 / 8, grouped=True)
    assert Looks(first=10, most=50, until="decided").planned == (10, 20, 40, 50)


@pytest.mark.parametrize(("n", "size"), [(5, 32), (9, 64), (40, 512)])
def test_signs_form_a_group(n: int, size: int) -> None:
    group = signs.sign_group(n, size)
    members = {row.tobytes() for row in group}
    assert group.shape == (size, n)
    assert len(members) == size
    assert (group[0] == 1).all()
    assert (-group[0]).tobytes() in members
    first = group[:, : size.bit_length() - 1]
    assert len(np.unique(first, axis=0)) == size  # every assignment of the first signs, once
    for one, other in itertools.product(range(0, size, 7), repeat=2):
        assert (group[one] * group[other]).tobytes() in members


def test_up_to_14_seeds_the_group_is_all_signs(sample: np.ndarray) -> None:
    terms = stats.Terms(grouped=True)
    assert stats.sign_flip_p(sample, terms).p == stats.sign_flip_p(sample).p
    assert stats.sign_flip_p(sample, terms).method == "exact sign-flip, 512 assignments"
    a, b = np.stack([sample, sample**2], axis=1), np.stack([sample**2, sample], axis=1)
    a[2, 0] = -np.inf

    def higher(means: np.ndarray) -> np.ndarray:
        return (means[..., 0] > means[..., 1]) * 2.0 - (means[..., 2] > means[..., 3]) * 1.0

    with np.errstate(invalid="ignore"):
        assert stats.swap_p(a[3:], b[3:], lambda m: m[..., 0] - m[..., 2], terms).p == pytest.approx(
            stats.swap_p(a[3:], b[3:], lambda m: m[..., 0] - m[..., 2]).p
        )
    p, counted = signs.swap_p(a, b, lambda m: np.isneginf(m[..., 0]) - 1.0 * np.isneginf(m[..., 2]), 999)
    assert (p, counted) == (1.0, 512)  # what is lost changes places with it


@pytest.fixture
def sample() -> np.ndarray:
    return np.random.default_rng(3).normal(0.4, size=9)


def test_a_test_by_a_group_of_signs_is_exact() -> None:
    d, resamples = np.random.default_rng(0).exponential(size=12), 3
    group = signs.sign_group(12, signs.size_of(12, resamples))
    assert len(group) == 32  # far fewer than 2¹²
    p = np.array([signs.flip_p(g * d, resamples)[0] for g in group])
    for alpha in np.arange(1, 33) / 32:
        assert (p <= alpha).mean() <= alpha
    assert p.min() == 2 / 32
    assert signs.size_of(80, stats.RESAMPLES) == 2**17


@pytest.mark.parametrize("d", [np.arange(1.0, 11.0), np.ones(10), np.random.default_rng(1).standard_cauchy(10)])
def test_over_all_looks_no_level_is_exceeded_whatever_ends_them(d: np.ndarray) -> None:
    """All 2ⁿ signs are as likely without an effect: counted, how many are ever found to have one."""
    planned = (3, 6, 10)
    shares = spending.shares(planned)
    over_looks = []
    for assignment in signs.sign_group(10, 2**10):
        flipped = assignment * d
        of_looks = (signs.flip_p(flipped[:n], 9999)[0] for n in planned)
        over_looks.append(min(spending.at_once(p, share) for p, share in zip(of_looks, shares, strict=True)))
    p = np.array(over_looks)
    for alpha in (0.01, 0.05, 0.1, 0.2, 0.5):
        assert (p <= alpha).mean() <= alpha
    assert (p <= 0.05).any()


def test_intervals_of_early_looks_hold_those_of_fixed_designs() -> None:
    d = np.random.default_rng(5).exponential(size=20)
    fixed = stats.mean_interval(d)
    levels = [spending.terms_of((20, 40, 80), number, stats.RESAMPLES) for number in (1, 2, 3)]
    first, second, last = (stats.mean_interval(d, terms) for terms in levels)
    assert fixed
    assert first
    assert second
    assert last
    assert first.low < second.low < last.low < fixed.low < fixed.high < last.high < second.high < first.high
    assert levels[2].level == 1 - 0.05 * 0.75
    assert stats.mean_interval(d, levels[0]._replace(bare=True)) is None


def test_the_chance_that_an_equivalence_is_decided() -> None:
    rng = np.random.default_rng(2)
    d = rng.normal(size=20)
    d = (d - d.mean()) / d.std(ddof=1)
    chances = [spending.chance_of_equivalence(d, margin, 40, 0.025) for margin in (0.01, 0.5, 1.0)]
    assert chances[0] < 0.1
    assert chances[1] > 0.5
    assert chances[2] > 0.99
    assert spending.chance_of_equivalence(d, 0.3, 20, 0.025) == 1  # nothing is ahead
    near = np.concatenate([d + 0.3, d + 0.3])  # close to a margin from which it can neither go nor come
    theta, n, last = near.mean() + np.linspace(-1, 1, 201) * 1.304 * near.std(ddof=1) / math.sqrt(40), 40, 80
    drawn = (near.sum() + (last - n) * theta) / last + near.std(ddof=1) * math.sqrt(last - n) / last * rng.normal(
        size=(4000, 1)
    )
    reach = near.std(ddof=1) / math.sqrt(last)
    decided = (np.abs(drawn) < 0.3 - 1.96 * reach) | (np.abs(drawn) > 0.3 + 2.2414 * reach)
    assert spending.chance_of_equivalence(near, 0.3, 80, 0.025) == pytest.approx(decided.mean(axis=0).max(), abs=0.03)


CLEAR, NOISY = {"placement": "pre"}, {"placement": "post"}
HYPOTHESES: list[dict[str, Any]] = [
    {"id": "clear", "kind": "contrast", "metric": "gap", "a": CLEAR | {"dropout_rate": 0.0}}
    | {"b": {"placement": "none", "dropout_rate": 0.0}},
    {"id": "noisy", "kind": "contrast", "metric": "gap", "a": NOISY | {"dropout_rate": 0.0}}
    | {"b": {"placement": "none", "dropout_rate": 0.0}},
    {"id": "narrow", "kind": "equivalence", "metric": "gap", "margin": 0.01, "a": NOISY | {"dropout_rate": 0.5}}
    | {"b": {"placement": "none", "dropout_rate": 0.5}},
]


def study_of(hypotheses: list[dict[str, Any]] = HYPOTHESES, first: int = 12, most: int = 48) -> Study:
    axes = {"placement": ["none", "pre", "post"], "dropout_rate": [0.0, 0.5]}
    stated = [{"statement": "s"} | hypothesis for hypothesis in hypotheses]
    seeds = {"first": first, "most": most, "until": "decided"}
    return build_study(name="x", seeds=seeds, axes=axes, hypotheses=stated)


def lanes_of(study: Study, clear: float = 5.0) -> pl.DataFrame:
    """All lanes up to the last look; the gap with BN before is higher by `clear`, in all seeds."""
    rng = np.random.default_rng(0)
    rows = [
        cell.levels | {"seed": seed, "status": "ok", "gap": rng.normal() + clear * (cell.levels["placement"] == "pre")}
        for cell in cells_of(study)
        for seed in study.seed_list
    ]
    return pl.DataFrame(rows).with_columns(underfitting=pl.col("gap"))


def cells_at(plan: Any) -> dict[tuple[Any, ...], int]:
    return {tuple(cell.levels.values()): len(plan.seeds_of(cell)) for cell in plan.cells}


def test_hypotheses_stop_at_looks_of_their_own_and_only_open_ones_get_more_seeds() -> None:
    study = study_of()
    lanes = lanes_of(study)
    plan = first_look(make_plan(study))
    assert (plan.n_lanes, plan.n_rows, len(plan.rows), plan.seeds) == (6 * 12, 6 * 12, 6 * 12, tuple(range(12)))
    taken, following = look(plan, lanes.filter(pl.col("seed") < 12))
    assert taken.verdicts["clear"] == "decided"
    assert taken.verdicts["noisy"] is None
    assert following
    assert cells_at(following)["none", 0.0] == cells_at(following)["post", 0.0] == 24
    assert cells_at(following)["pre", 0.0] == cells_at(following)["pre", 0.5] == 12
    assert taken.lanes == following.n_lanes - plan.n_lanes == len(following.lanes) - len(plan.lanes)
    assert (
        {lane.id for lane in plan.lanes}
        < {lane.id for lane in following.lanes}
        < {lane.id for lane in make_plan(study).lanes}
    )
    assert looks_of(following)["looks"] == {"planned": [12, 24, 48], "look": 2, "cells": cells_by_seeds(following)}
    end = stand(study, lanes, QUICK)
    assert end.look == 3
    assert end.open == ()
    said = {record["id"]: (record["look"], record["stopped"], record["n_seeds"]) for record in end.records}
    assert said["clear"] == (1, "decided", 12)
    assert said["noisy"] == (3, "most", 48)
    assert said["narrow"][:2] == (2, "futile")


def cells_by_seeds(plan: Any) -> dict[str, int]:
    numbers = sorted(cells_at(plan).values())
    return {str(n): numbers.count(n) for n in numbers}


def test_a_hypothesis_that_stopped_is_judged_by_the_seeds_of_its_look() -> None:
    study = study_of()
    lanes = lanes_of(study)
    before = stand(study, lanes.filter(pl.col("seed") < 12), QUICK)
    other = lanes.with_columns(gap=pl.when(pl.col("seed") < 12).then("gap").otherwise(-9.0 * pl.col("gap")))
    after = stand(study, other.sample(fraction=1.0, shuffle=True, seed=1), QUICK)
    clear, later = before.records[0], after.records[0]
    assert {key for key in clear if clear[key] != later[key]} <= {"p_adjusted", "reason"}
    assert later["p_adjusted"] <= clear["p_adjusted"] < 0.05
    assert clear["p"] == clear["p_at_look"] * 4
    assert clear["error_spent"] == 0.05 / 4
    assert clear["level_at_look"] == 1 - 0.05 / 16
    assert "0.9969 at look 1 of 3" in clear["interval_method"]
    assert stop_text(clear) == "1 of 3, at 12 seeds: decided; 0.0125 of the error of 0.05 spent"
    assert stop_text(before.records[1]).endswith(
        "12 seeds: the next look has not been taken; 0.0125 of the error of 0.05 spent"
    )


def test_the_p_value_is_the_smallest_of_all_looks_and_never_grows() -> None:
    study, p = study_of(), []
    lanes = lanes_of(study)
    for n in (12, 24, 48):
        records = stand(study, lanes.filter(pl.col("seed") < n), QUICK).records
        p.append(next(record["p"] for record in records if record["id"] == "noisy"))
    assert p == sorted(p, reverse=True)


def test_a_look_is_taken_once_all_lanes_are_there_that_it_needs() -> None:
    study = study_of()
    lanes = lanes_of(study)
    missing = (pl.col("placement") == "post") & (pl.col("dropout_rate") == 0.0) & (pl.col("seed") == 23)
    assert stand(study, lanes.filter(~missing), QUICK).look == 1
    unneeded = (pl.col("placement") == "pre") & (pl.col("seed") > 11)
    assert stand(study, lanes.filter(~unneeded), QUICK).records == stand(study, lanes, QUICK).records


def test_what_is_paired_with_the_lane_without_dropout_needs_that_lane_too() -> None:
    of_two = {"a": {"placement": "pre", "dropout_rate": 0.5}, "b": {"placement": "none", "dropout_rate": 0.5}}
    study = study_of([{"id": "h", "kind": "contrast", "metric": "underfitting"} | of_two])
    cells = cells_of(study)
    found = [tuple(cells[place].levels.values()) for place in needed(study, study.hypotheses[0], cells)]
    assert found == [("none", 0.0), ("none", 0.5), ("pre", 0.0), ("pre", 0.5)]


def test_a_fixed_number_of_seeds_is_judged_as_ever() -> None:
    study = study_of()
    fixed = study.model_copy(update={"seeds": 12})
    (record, *_) = judge(fixed, lanes_of(study), QUICK)
    assert not {"look", "looks", "stopped", "p_at_look"} & record.keys()
    assert record["n_seeds"] == 12
    plan = make_plan(fixed)
    assert first_look(plan) is plan
    assert looks_of(plan) == {}
    assert plan.reach is None


def test_which_look_can_decide_what_is_said_beforehand() -> None:
    plan = make_plan(study_of(first=8))
    assert first_looks(plan) == {"clear": 2, "noisy": 2, "narrow": 1}  # 3 × 6 × 2 / 2⁸ > .05
    good, warnings = first_look_lines(first_looks(plan), plan.study.looks)
    assert good == [
        "look 1 of 4, at 8 seeds, can decide narrow",
        "look 2 of 4, at 16 seeds, can decide clear, noisy",
    ]
    assert warnings == []
    good, warnings = first_look_lines({"a": 2, "b": None}, (8, 16))
    assert good[0] == "look 1, at 8 seeds, cannot decide any of them: a larger seeds.first would"
    assert warnings == ["No look can decide b, whatever comes out"]


def test_a_look_is_said_in_a_line() -> None:
    verdicts = {"a": "decided", "b.relu": None, "b.tanh": None, "c": "futile", "d": "decided"}
    assert look_line(1, (10, 20, 40), verdicts, 120) == (
        "look 1 of 3, at 10 seeds: 2 of 5 hypotheses decided; 1 that more seeds would hardly decide; open: b (2 rows); "
        "120 lanes more for look 2, at 20 seeds"
    )
    assert look_line(3, (10, 20, 40), {"a": "decided", "b": "most"}, 0) == (
        "look 3 of 3, at 40 seeds: 1 of 2 hypotheses decided; 1 not, with all the seeds there are"
    )


def test_parts_of_a_study_with_looks_are_refused_with_what_to_do_and_a_few_lanes_are_of_the_first() -> None:
    study = study_of()
    plan = make_plan(study)
    with pytest.raises(ConfigError, match=r"--set seeds=12, `bn-ablate merge` its parts, and run the study whole"):
        portion(plan, Part(1, 2))
    assert "--set seeds=12" in divisions(plan)
    assert portion(first_look(plan), Part(1, 2)).n_lanes == 36  # as a cluster is given it
    assert restrict(plan, {"placement": "pre"}).seeds == tuple(range(12))
    assert restrict(plan, {"seed": 40}).seeds == (40,)
    assert quick(study).seed_list == (0, 1)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ({"first": 10, "most": 10, "until": "decided"}, "for a fixed number of seeds say seeds = 10"),
        ({"first": 10, "most": 80}, "seeds.until: is missing"),
        ({"first": 10, "most": 80, "until": "done"}, "seeds.until: 'done' is none of decided"),
        ({"first": 0, "most": 80, "until": "decided"}, "seeds.first: is 0"),
        (
            {"first": 10, "most": 80, "until": "decided", "last": 1},
            r"seeds.last: there is no such key \(known here: first",
        ),
    ],
)
def test_wrong_looks_are_refused(seeds: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_study(name="x", seeds=seeds, axes={"placement": ["none", "pre"]})


def test_looks_need_a_hypothesis() -> None:
    with pytest.raises(ConfigError, match=r"no hypothesis to decide; say seeds = 12"):
        study_of([])
    assert build_study(study_of().model_dump(mode="json")) == study_of()


def test_seeds_may_start_elsewhere() -> None:
    seeds = {"first": 12, "most": 48, "until": "decided", "start": 700}
    study = build_study(study_of().model_dump(mode="json") | {"seeds": seeds})
    plan = first_look(make_plan(study))
    assert plan.seeds == tuple(range(700, 712))
    there = lanes_of(study_of())
    taken, following = look(plan, there.filter(pl.col("seed") < 12).with_columns(pl.col("seed") + 700))
    assert following
    assert following.seeds == tuple(range(700, 724))
    assert taken.verdicts == look(first_look(make_plan(study_of())), there.filter(pl.col("seed") < 12))[0].verdicts


def test_shards_of_a_look_are_its_lanes_once_each_however_it_is_divided() -> None:
    """As workers of a cluster are given them: in parts, of which those that lack nothing have no shard."""
    study = study_of()
    plan = first_look(make_plan(study))
    following = look(plan, lanes_of(study).filter(pl.col("seed") < 12))[1]
    assert following
    machine = Machine("map", 1, 2**40, 1, "cpu")
    for parts in (1, 3, 12):
        shards = Layout(machine, parts).shards(following, {lane.id for lane in plan.lanes}, DIGITS)
        found = [lane for shard in shards for lane in shard.lane_ids]
        assert sorted(found) == sorted({lane.id for lane in following.lanes} - {lane.id for lane in plan.lanes})


def test_designs_whose_intervals_fall_short_are_warned_of() -> None:
    assert [n for n in range(2, 21) if few_seeds_lines(n)] == [5, 6]
    assert few_seeds_lines(5)[0].startswith("intervals from 5 seeds cover strongly skewed differences in some 92%")


def test_what_became_of_verdicts_is_counted() -> None:
    verdicts = {"a": "supported", "b": "supported", "c": "equivalent", "d": "inconclusive", "e": "inconclusive"}
    now = {"e": "inconclusive", "d": "supported", "c": "contradicted", "b": "inconclusive", "a": "supported"}
    before, after = ([{"id": name, "verdict": said} for name, said in of.items()] for of in (verdicts, now))
    found = change_of_seeds.change(before, after)
    assert found == change_of_seeds.Change(stay=1, lost=1, flipped=1, gained=1, open=1)
    assert found.decided == 3
    study = study_of()
    assert change_of_seeds.other_seeds(study, 1).seed_list == tuple(range(17_000, 17_048))
    assert change_of_seeds.other_seeds(study.at_look(12), 0).seed_list == tuple(range(7000, 7012))


def test_no_effect_is_rarely_found_with_looks_either() -> None:
    """A small version of `scripts/calibration.py 2000 looks`."""
    studies, wrong, covered = 20, 0, 0
    for (record,) in calibration.studies_of(
        ("contrast",), calibration.Truth(), studies, "normal", calibration_looks.LOOKS
    ):
        wrong += calibration_looks.wrong(record)
        covered += calibration.covers(record, 0.0)
    assert wrong <= binom.isf(0.001, studies, 0.05)
    assert studies - covered <= binom.isf(0.001, studies, 0.05)
    large = calibration.Truth(contrast=3.0)
    (record,) = next(calibration.studies_of(("contrast",), large, 1, "normal", calibration_looks.LOOKS))
    assert (record["verdict"], record["look"], record["n_seeds"]) == ("supported", 1, 10)
