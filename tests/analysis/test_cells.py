"""The cell table, and how lanes are chosen and averaged for it and for figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats

from bn_ablate.analysis import cell_table
from bn_ablate.analysis.judge.selection import hold, matching, summarize
from tests.synthetic import write_results


def test_cell_table_by_hand(tmp_path: Path) -> None:
    axes = {"placement": ["pre", "none"], "dropout_rate": [0.2, 0.0]}
    results = write_results(
        tmp_path,
        {"name": "cells", "seeds": 4, "axes": axes},
        diverged=lambda levels, seed: levels["placement"] == "none" and levels["dropout_rate"] == 0.2 and seed < 2,
    )
    table = cell_table(results)
    assert table.columns[:4] == ["placement", "dropout_rate", "n", "diverged"]
    assert table.select("placement", "dropout_rate", "n", "diverged").rows() == [
        ("pre", 0.2, 4, 0),
        ("pre", 0.0, 4, 0),
        ("none", 0.2, 4, 2),
        ("none", 0.0, 4, 0),
    ]
    lanes = results.lanes.filter(placement="pre", dropout_rate=0.2)["final_test_loss"].to_numpy()
    low, high = scipy.stats.t.interval(0.95, 3, lanes.mean(), lanes.std(ddof=1) / 2)
    cell = table.row(0, named=True)
    assert cell["final_test_loss"] == pytest.approx(lanes.mean())
    assert (cell["final_test_loss_low"], cell["final_test_loss_high"]) == pytest.approx((low, high))
    half_lost = results.lanes.filter(placement="none", dropout_rate=0.2)
    assert half_lost["final_test_loss"].is_nan().sum() == 2
    assert table.row(2, named=True)["final_test_loss"] == pytest.approx(
        half_lost["final_test_loss"].fill_nan(None).mean()
    )
    assert table.row(2, named=True)["final_test_accuracy"] == pytest.approx(half_lost["final_test_accuracy"].mean())


def test_cell_table_without_axes(tmp_path: Path) -> None:
    table = cell_table(write_results(tmp_path, {"name": "bare", "seeds": 1}))
    assert table.height == 1
    assert table["n"].to_list() == [1]
    assert table["final_test_accuracy_low"].to_list() == [None]
    assert "underfitting" not in table.columns


def test_summary_is_over_seeds_and_within_what_can_be() -> None:
    table = pl.DataFrame(
        {"g": [1] * 6, "seed": [0, 0, 1, 1, 2, 2], "final_test_accuracy": [0.9, 1.0, 1.0, 1.0, 0.7, 0.9]}
    )
    row = summarize(table, ["g"], "final_test_accuracy").row(0, named=True)
    assert row["n"] == 3
    assert row["mean"] == pytest.approx((0.95 + 1.0 + 0.8) / 3)
    assert row["high"] == 1.0
    assert row["low"] == pytest.approx(row["mean"] - 4.3027 * np.std([0.95, 1.0, 0.8], ddof=1) / math.sqrt(3), abs=1e-4)


def test_summary_of_logarithms_is_geometric() -> None:
    table = pl.DataFrame({"seed": [0, 1, 2, 3], "gradient_norm": [1.0, 100.0, 0.0, math.nan]})
    row = summarize(table, [], "gradient_norm", log=True).row(0, named=True)
    assert (row["n"], row["mean"]) == (2, pytest.approx(10.0))
    assert row["low"] * row["high"] == pytest.approx(100.0)


def test_rules_match_levels_of_any_kind(tmp_path: Path) -> None:
    axes: dict[str, Any] = {"n_train": [100, None], "learning_rate": [0.1, 1.0], "affine": ["both", "none"]}
    results = write_results(tmp_path, {"name": "rules", "seeds": 1, "axes": axes})

    def count(**rule: Any) -> int:
        return results.lanes.filter(matching(results.axes, rule)).height

    assert count() == 8
    assert count(n_train=100) == 4
    assert count(n_train=[100, 1000]) == 4
    assert count(learning_rate=1) == 4
    assert count(learning_rate=[0.1, 1], affine="none") == 4
    assert results.lanes.filter(matching(results.axes, {"n_train": [None]})).height == 4


def test_other_axes_are_held_and_said(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.3, 0.1], "depth": [2, 3], "affine": ["scale", "both"]}
    table = {"name": "held", "seeds": 1, "axes": axes, "exclude": [{"placement": "none", "affine": "both"}]}
    held = hold(write_results(tmp_path, table), ["placement"])
    assert held.note == "Held: dropout rate 0.1, depth 3, affine both."
    assert held.lanes.select("placement", "dropout_rate", "depth", "affine", "activation").rows() == [
        ("none", 0.1, 3, "scale", "relu"),  # a network without BN has no affine to hold
        ("pre", 0.1, 3, "both", "relu"),
    ]
