"""Every figure, on an ordinary study and on unusual ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from bn_ablate.analysis import cell_table
from bn_ablate.analysis.figures import Chart, charts
from bn_ablate.analysis.figures.against import APART, ERROR_SCALE, accuracies, against
from bn_ablate.analysis.figures.aggregates import aggregates
from bn_ablate.analysis.figures.end_names import spread
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.figures.learning_curves import learning_curves
from bn_ablate.analysis.figures.overview import overview
from bn_ablate.analysis.figures.steep_region import steep_region
from bn_ablate.analysis.figures.style import COLUMN, LOOKS, PAGE
from bn_ablate.analysis.judge.descriptive import by_placement
from bn_ablate.results import Results
from tests.synthetic import write_results

ORDINARY: dict[str, Any] = {
    "name": "ordinary",
    "seeds": 3,
    "axes": {
        "placement": ["none", "pre", "post"],
        "activation": ["sigmoid", "relu"],
        "dropout_rate": [0.0, 0.2, 0.5],
    },
}

UNUSUAL: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no axes and one seed": ({"seeds": 1}, ["learning_curves", "layers"]),
    "one hidden layer": ({"seeds": 2, "model": {"depth": 1}}, ["learning_curves"]),
    "forty learning rates": (
        {"seeds": 2, "axes": {"learning_rate": [float(x) for x in np.geomspace(1e-4, 1, 40)]}},
        ["accuracy_vs_learning_rate", "overview", "learning_curves", "layers"],
    ),
    "coverage without some cells": (
        {
            "seeds": 2,
            "model": {"activation": "tanh"},
            "axes": {
                "placement": ["pre", "none"],
                "coverage": ["all", "none", "first", "only_1"],
                "weight_decay": [0, 1e-4],
            },
            "exclude": [{"placement": "none", "coverage": ["all", "first", "only_1"]}],
        },
        ["accuracy_vs_weight_decay", "overview", "aggregates", "learning_curves", "steep_region", "layers"],
    ),
    "activations alone, BN after": (
        {
            "seeds": 2,
            "norm": {"placement": "post"},
            "axes": {"activation": ["sigmoid", "leaky_relu"]},
        },
        ["overview", "learning_curves", "layers"],
    ),
}


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write_results(
        tmp_path_factory.mktemp("ordinary"),
        ORDINARY,
        diverged=lambda levels, seed: levels["dropout_rate"] == 0.5 and levels["placement"] == "none" and seed == 0,
    )


@pytest.fixture(scope="module")
def drawn(ordinary: Results) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(ordinary)}


def test_an_ordinary_study_has_every_figure(drawn: dict[str, Chart]) -> None:
    assert list(drawn) == [
        "accuracy_vs_dropout",
        "overview",
        "aggregates",
        "learning_curves",
        "gap",
        "underfitting",
        "steep_region",
        "layers",
    ]
    for chart in drawn.values():
        assert chart.caption.endswith(".")
        assert chart.alt.endswith(".")
        assert chart.figure.get_figwidth() in (COLUMN, PAGE)


def test_lines_are_the_means_in_the_placements_colours(ordinary: Results, drawn: dict[str, Chart]) -> None:
    panel = drawn["accuracy_vs_dropout"].figure.axes[1]
    cells = cell_table(ordinary).filter(activation="relu")
    lines = {to_hex(line.get_color()): line for line in panel.lines if len(line.get_xdata()) > 1}  # type: ignore[arg-type]
    for placement, look in LOOKS.items():
        line = lines[look.color]
        expected = cells.filter(placement=placement).sort("dropout_rate")
        np.testing.assert_allclose(line.get_xdata(), expected["dropout_rate"])
        np.testing.assert_allclose(line.get_ydata(), 100 * expected["final_test_accuracy"])


def test_diverged_lanes_are_shown(drawn: dict[str, Chart]) -> None:
    assert "(2 of 54); they count" in drawn["accuracy_vs_dropout"].caption
    assert "(2 of 54); they are left out" in drawn["gap"].caption
    assert "2 in all" in drawn["overview"].caption
    hollow = [line for line in drawn["gap"].figure.axes[0].lines if line.get_markerfacecolor() == "#ffffff"]
    assert len(hollow) == 1


def test_lines_are_named_where_they_end(drawn: dict[str, Chart]) -> None:
    first, last = drawn["gap"].figure.axes[0], drawn["gap"].figure.axes[-1]
    assert [text.get_text() for text in last.texts if text.get_text()] != []
    assert {text.get_text()[2:] for text in last.texts} == {"no BN", "BN before", "BN after"}
    assert not first.texts


def test_steep_region_counts_what_lies_in_the_band(ordinary: Results, drawn: dict[str, Chart]) -> None:
    lanes = ordinary.lanes.filter(activation="sigmoid", placement="pre", dropout_rate=0.0)["lane_id"]
    first = ordinary.histograms.filter(site="dense", layer=0, step=400)
    counts = np.sum([row["counts"] for row in first.iter_rows(named=True) if row["lane_id"] in lanes], axis=0)
    inside = counts[1 + 35 : 1 + 65].sum() / counts.sum()  # bins of 0.2 from -10: those from -3 to 3
    texts = [text.get_text() for text in drawn["steep_region"].figure.axes[1].texts]
    assert any(text.startswith(f"{inside:.1%} in |z| ≤ 3") for text in texts)


def test_steep_region_has_a_row_for_each_saturating_activation(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "activation": ["relu", "tanh", "sigmoid"]}
    chart = steep_region(write_results(tmp_path, {"name": "steep", "seeds": 2, "axes": axes}))
    assert chart is not None
    titles = [ax.get_title(loc="left").split(",")[0] for ax in chart.figure.axes]
    assert titles == ["tanh", "tanh", "sigmoid", "sigmoid"]
    said = {text.get_text().split("\n")[-1].split(" ")[0] for ax in chart.figure.axes[1::2] for text in ax.texts}
    for name in ("tanh", "sigmoid"):
        (shares,) = re.findall(rf"{name} ([\d.]+%) before BN and ([\d.]+%) after it", chart.caption)
        assert set(shares) <= said


def test_panels_may_be_of_another_axis_than_the_activation(ordinary: Results) -> None:
    chart = learning_curves(ordinary, "dropout_rate")
    assert chart is not None
    assert [ax.get_title(loc="left") for ax in chart.figure.axes] == [f"dropout rate {x}" for x in (0, 0.2, 0.5)]
    assert "Held: activation relu" in chart.caption
    assert against(ordinary, "dropout_rate", "accuracy", "dropout_rate") is None


def test_94_and_96_percent_have_different_colours_beside_10(tmp_path: Path) -> None:
    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"final_test_accuracy": {0.0: 0.96, 0.2: 0.94, 0.5: 0.1}[levels["dropout_rate"]]}

    table = {"name": "far", "seeds": 2, "axes": {"dropout_rate": [0.0, 0.2, 0.5]}}
    chart = overview(write_results(tmp_path, table, change=plant))
    assert chart is not None
    norm = chart.figure.axes[0].collections[0].norm
    assert norm(96) - norm(94) > 0.1
    assert (norm(96), norm(10)) == (1, 0)


RECORDS = [
    {"id": "a.1", "claim": "C4", "statement": "Gap (activation relu)", "metric": "gap"},
    {"id": "a.2", "claim": "C4", "statement": "Gap (activation tanh)", "metric": "gap"},
    {"id": "b", "claim": "C4", "statement": "Accuracy", "metric": "final_test_accuracy"},
    {"id": "c", "claim": None, "statement": "Of no claim", "metric": "gap", "kind": "equivalence"},
    {"id": "d", "claim": "C4", "statement": "Train loss", "metric": "final_train_loss"},
]


def test_the_forest_has_a_panel_for_each_claim_and_unit(ordinary: Results) -> None:
    said = {"kind": "contrast", "verdict": "supported", "margin": 0.02, "primary": True, "alternative": "greater"}
    said |= {"estimate": 0.03, "interval": [0.025, 0.04], "bound": 0.0, "metric": "gap"}
    chart = forest(ordinary.with_claims([said | record for record in RECORDS]))
    assert chart is not None
    titles = [ax.get_title(loc="left").split(":")[0] for ax in chart.figure.axes]
    assert titles == ["C4", "C4", "Other hypotheses"]
    nats, points, other = chart.figure.axes
    assert [label.get_text() for label in nats.get_yticklabels()] == ["relu", "tanh", ""]
    texts = [text.get_text() for text in nats.texts]
    assert [text for text in texts if "[" not in text] == ["Gap", "Train loss", "nats"]
    assert "✓ +3.00 [+2.50, +4.00]" in [text.get_text() for text in points.texts]
    (band,) = other.collections[:1]
    assert (band.get_datalim(other.transData).x0, band.get_datalim(other.transData).x1) == (-0.02, 0.02)


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_studies(tmp_path: Path, name: str) -> None:
    table, expected = UNUSUAL[name]
    found = list(charts(write_results(tmp_path, {"name": "unusual", "train": {"steps": 100}} | table)))
    assert [chart.name for chart in found] == expected
    for chart in found:
        chart.figure.draw_without_rendering()


@pytest.mark.parametrize(("low", "scale"), [(0.3, "function"), (0.95, "linear")])
def test_accuracies_far_apart_are_spaced_by_error(tmp_path: Path, low: float, scale: str) -> None:
    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"final_test_accuracy": low if levels["placement"] == "none" else 0.97}

    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    chart = against(
        write_results(tmp_path, {"name": "far", "seeds": 2, "axes": axes}, change=plant), "dropout_rate", "accuracy"
    )
    assert chart is not None
    panel = chart.figure.axes[0]
    assert panel.get_yscale() == scale
    assert ("logarithmic in the error" in chart.caption) == (scale == "function")
    bottom, top = panel.get_ylim()
    assert bottom < 100 * low < 97 < top < 100


def test_aggregates_are_of_the_cells_that_all_placements_share(tmp_path: Path) -> None:
    def plant(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        accuracy = 0.5 + 0.1 * levels["dropout_rate"] + 0.002 * seed + 0.2 * (levels["placement"] == "pre")
        return row | {"final_test_accuracy": accuracy}

    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.2, 0.5]}
    excluded = [{"placement": "none", "dropout_rate": 0.5}]
    table = {"name": "shared", "seeds": 4, "axes": axes, "exclude": excluded}
    results = write_results(tmp_path, table, change=plant)
    scores = by_placement(results, "final_test_accuracy")
    assert scores["pre"][:, 0].tolist() == pytest.approx([0.7, 0.702, 0.704, 0.706])
    assert [values.shape for values in scores.values()] == [(4, 2), (4, 2)]
    chart = aggregates(results)
    assert chart is not None
    assert "over the 2 cells" in chart.caption
    _, middle, better = chart.figure.axes
    assert [text.get_text().split(" ")[0] for text in middle.texts] == ["51.3", "71.3"]
    assert [text.get_text() for text in better.texts] == ["100 [100, 100]"]


def test_nothing_is_aggregated_without_placements_or_cells(tmp_path: Path) -> None:
    one_cell = {"name": "one", "seeds": 2, "axes": {"placement": ["none", "pre"]}}
    assert aggregates(write_results(tmp_path / "one", one_cell)) is None
    no_axis = {"name": "no", "seeds": 2, "axes": {"dropout_rate": [0.0, 0.5]}}
    assert aggregates(write_results(tmp_path / "no", no_axis)) is None


def test_every_lane_diverged(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "activation": ["sigmoid", "relu"], "dropout_rate": [0.0, 0.5]}
    table = {"name": "lost", "seeds": 2, "axes": axes}
    found = list(charts(write_results(tmp_path, table, diverged=lambda levels, seed: True)))
    assert [chart.name for chart in found] == ["accuracy_vs_dropout", "overview", "aggregates", "steep_region"]


def test_names_are_moved_apart() -> None:
    assert spread({"a": 0.5, "b": 0.5}, 0.2) == pytest.approx({"a": 0.4, "b": 0.6})
    assert spread({"a": 0.1, "b": 0.9}, 0.2) == pytest.approx({"a": 0.1, "b": 0.9})
    crowded = spread({"a": 1.0, "b": 0.99, "c": 2.0}, 0.1, lowest=0.3)
    assert sorted(crowded, key=lambda name: crowded[name]) == ["b", "a", "c"]
    assert np.diff(sorted(crowded.values())) == pytest.approx([0.1, 0.1], abs=1e-3)
    assert max(crowded.values()) <= 1.0 + 1e-9


@pytest.mark.parametrize("ends", [(39.6, 92.3), (80.0, 98.0), (10.0, 99.97), (94.0, 99.0)])
def test_ticks_of_accuracies_lie_in_the_range_and_do_not_touch(ends: tuple[float, float]) -> None:
    ticks = accuracies(*ends)
    low, *places, high = (float(ERROR_SCALE[0](tick)) for tick in (ends[0], *ticks, ends[1]))
    assert 5 <= len(ticks) <= 1 / APART + 1
    assert low <= places[0] < places[-1] <= high
    assert min(np.diff(places)) >= APART * (high - low)
