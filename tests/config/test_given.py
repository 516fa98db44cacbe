"""What callers give stands for what it holds, or is refused at once."""

from __future__ import annotations

import os
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import bn_ablate as bn
from bn_ablate.config import ConfigError, build_study
from bn_ablate.config.given import place, plain
from bn_ablate.config.only import check_only
from bn_ablate.plan import lane_id, make_plan, restrict
from bn_ablate.runs.rerun import verify_lanes

STUDY = build_study({"name": "s", "seeds": 3, "axes": {"learning_rate": [0.1, 0.01], "width": [4, 8]}})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.float32(0.1), 0.1),
        (np.float16(0.1), 0.1),
        (np.float64(1 / 3), 1 / 3),
        (np.str_("pre"), "pre"),
        (np.array(7), 7),
        (np.array(0.1, np.float32), 0.1),
        (np.linspace(0, 0.3, 4, dtype=np.float32), [0.0, 0.1, 0.2, 0.3]),
        (np.array(["pre", "post"]), ["pre", "post"]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([None, 8], object), [None, 8]),
        (jnp.arange(3), [0, 1, 2]),
        (jnp.float32(0.1), 0.1),
        (range(1, 4), [1, 2, 3]),
        ((1, (2, None)), [1, [2, None]]),
        (Fraction(1, 4), 0.25),
        (MappingProxyType({"a": OrderedDict(b=np.int32(1))}), {"a": {"b": 1}}),
    ],
)
def test_values_of_numpy_and_jax_are_what_they_hold(given: Any, expected: Any) -> None:
    found = plain(given)
    assert found == expected
    assert type(found) is type(expected)


def test_a_study_is_built_of_numpys_values() -> None:
    table = {
        "name": "s",
        "seeds": np.arange(3),
        "model": {"width": np.int32(8), "depth": np.uint8(2)},
        "train": {"nesterov": np.bool_(True), "learning_rate": np.float32(0.1)},
        "axes": {"dropout_rate": np.array([0.0, 0.5]), "n_train": range(100, 300, 100), "bn_momentum": (0.9,)},
    }
    plain_table = {
        "name": "s",
        "seeds": [0, 1, 2],
        "model": {"width": 8, "depth": 2},
        "train": {"nesterov": True, "learning_rate": 0.1},
        "axes": {"dropout_rate": [0.0, 0.5], "n_train": [100, 200], "bn_momentum": [0.9]},
    }
    assert build_study(table, ["train.steps=7"]) == build_study(plain_table, "train.steps=7")
    assert isinstance(table["seeds"], np.ndarray)  # what the caller has stays as it is
    assert "steps" not in table["train"]


@pytest.mark.parametrize(
    "value", [1j, np.complex64(1), np.datetime64("2020-01-01"), np.datetime64("2020", "ns"), b"8", {8}, object(), max]
)
def test_what_no_study_can_hold_is_refused_at_its_key(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.width: is .*: no key of a study takes such a value"):
        build_study({"name": "s", "model": {"width": value}})


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True, "0", None, np.float64(0.5), np.int64(-1), [0]])
def test_a_lane_of_no_seed_is_refused_before_anything_is_trained(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"^s: 1 problem\n  seeds\[0\]: is "):
        bn.train_lane(STUDY, seed=seed, data_dir=Path("/nowhere"))


def test_an_id_is_that_of_the_number_whatever_its_type() -> None:
    (cell, *_) = make_plan(STUDY).cells
    assert cell.lane_id(np.int64(3)) == cell.lane_id(3) == lane_id(cell.settings, 3)


@pytest.mark.parametrize(
    "only",
    [
        {"seed": np.int64(1), "learning_rate": np.float32(0.1)},
        {"seed": np.array([1]), "learning_rate": np.array([0.1])},
        {"seed": range(1, 2), "learning_rate": {0.1}},
        {"seed": "1", "learning_rate": ("1e-1",)},
    ],
)
def test_lanes_are_picked_by_numpys_values_too(only: dict[str, Any]) -> None:
    assert check_only(STUDY, only) == {"seed": (1,), "learning_rate": (0.1,)}
    assert restrict(make_plan(STUDY), only).n_lanes == 2


@pytest.mark.parametrize("seed", [-1, 3, 1.5, True, None, np.int64(7), b"0"])
def test_a_seed_that_the_study_has_not_is_not_picked(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"seed: .* is none of 0, 1, 2"):
        restrict(make_plan(STUDY), {"seed": seed})


def test_levels_come_by_axis() -> None:
    with pytest.raises(ConfigError, match="it must map axes to levels"):
        restrict(make_plan(STUDY), "seed=1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "telling"),
    [
        ({"at_once": 0}, "at_once: is 0: it must be a whole number, 1 or more"),
        ({"at_once": 1.5}, "at_once: is 1.5"),
        ({"at_once": True}, "at_once: is True"),
        ({"at_once": np.float64(2)}, "at_once: is 2.0"),
        ({"memory": -1}, "memory: is -1"),
        ({"memory": "4 GiB"}, "memory: is '4 GiB'"),
        ({"strategy": "pmap"}, "strategy: 'pmap' is none of auto, vmap, map"),
    ],
)
def test_a_run_is_refused_before_it_begins(tmp_path: Path, given: dict[str, Any], telling: str) -> None:
    with pytest.raises(ConfigError) as caught:
        bn.run(STUDY, tmp_path, **given)
    assert telling in str(caught.value)
    with pytest.raises(ConfigError):
        bn.rerun(STUDY, {"seed": np.int64(0)}, tmp_path, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n", [-1, 0.5, "1", True])
def test_lanes_are_verified_in_whole_numbers(tmp_path: Path, n: Any) -> None:
    with pytest.raises(ConfigError, match=r"n: is .*: it must be a whole number, 0 or more"):
        verify_lanes(tmp_path, n)


def test_a_home_is_found_once_and_a_name_that_looks_like_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    assert place("~") == home
    assert place("~/out") == place(Path("~/out")) == place(place("~/out")) == home / "out"
    assert place("./~/out") == tmp_path / "~" / "out"
    assert place("~no_such_user/out") == tmp_path / "~no_such_user" / "out"
    assert place("a/~/out") == Path("a/~/out")
    assert place("results") == Path("results")
    assert os.fspath(place("/x/~")) == "/x/~"
