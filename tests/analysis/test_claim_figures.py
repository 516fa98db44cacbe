"""The figure of each claim, drawn from a study of it, and the figure of its hypotheses."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bn_ablate.analysis import write_claims
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.figures.style import COLUMN, PAGE
from bn_ablate.analysis.judge.selection import hold, tuned
from bn_ablate.results import Results, open_results
from tests.synthetic import write_results

CONFIGS = Path(__file__).parents[2] / "configs"
STUDIES = sorted(path.stem for path in CONFIGS.glob("c[1-8]_*.toml"))
MEASURES = (
    "first_saturated",
    "first_saturated_start",
    "gradient_slope_start",
    "trained",
    "inactive_train",
    "dead_train",
)


def results_of(study: str, folder: Path, **changes: Any) -> Results:
    """Made-up results of the study's grid over three seeds."""
    table = tomllib.loads((CONFIGS / f"{study}.toml").read_text(encoding="utf-8")) | {"seeds": 3} | changes
    if "activation" in table["axes"] and len(table["axes"]["activation"]) > 4:
        table["axes"]["activation"], table["hypotheses"] = ["sigmoid", "tanh"], []

    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | dict.fromkeys(MEASURES, 0.2 + 0.01 * seed)

    return write_results(folder, table, change=change)


@pytest.mark.parametrize("study", STUDIES)
def test_every_claim_has_its_figure(study: str, tmp_path: Path) -> None:
    chart = claim_figure(results_of(study, tmp_path, seeds=2))
    assert chart is not None
    assert chart.name == "claim"
    assert chart.caption.endswith(".")
    assert chart.alt.endswith(".")
    assert chart.figure.get_figwidth() in (COLUMN, PAGE)
    assert all(ax.lines or ax.collections for ax in chart.figure.axes)


def test_a_study_without_what_its_claim_needs_has_no_claim_figure(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"]}
    assert claim_figure(write_results(tmp_path, {"name": "few", "claim": "C6", "seeds": 2, "axes": axes})) is None


def test_left_out_layers_are_held_to_the_whole_network_of_the_same_seed(tmp_path: Path) -> None:
    axes = {"placement": ["pre", "post"], "coverage": ["all", "first", "none"]}
    lost = {"all": 0.0, "first": 0.02, "none": 0.05}

    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        return row | {"final_test_accuracy": 0.9 + 0.01 * seed - lost[levels["coverage"]]}

    table = {"name": "less", "claim": "C8", "seeds": 3, "axes": axes}
    chart = claim_figure(write_results(tmp_path, table, change=change))
    assert chart is not None
    points = [line for line in chart.figure.axes[0].lines if line.get_marker() == "s"]
    np.testing.assert_allclose(points[0].get_xdata(), [-2.0, -5.0])


def test_every_network_is_shown_at_its_best_rate(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "learning_rate": [0.01, 0.1]}

    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        lower = (levels["learning_rate"] == 0.1) == (seed == 1)
        return row | {"final_validation_loss": 0.1 if lower else 0.2}

    results = write_results(tmp_path, {"name": "tuned", "seeds": 2, "axes": axes}, change=change)
    kept = tuned(results, results.lanes).lanes
    assert sorted(kept.select("placement", "seed", "learning_rate").iter_rows()) == [
        ("none", 0, 0.01),
        ("none", 1, 0.1),
        ("pre", 0, 0.01),
        ("pre", 1, 0.1),
    ]


def test_what_is_held_is_there_after_exclusions(tmp_path: Path) -> None:
    held = hold(results_of("c7_placement", tmp_path), ("placement", "activation", "learning_rate"))
    assert held.lanes.height == 3 * 4 * 3 * 3
    assert held.note == "Held: architecture mlp, width 64."


def test_the_hypotheses_are_drawn_with_their_verdicts(tmp_path: Path) -> None:
    results = results_of("c7_placement", tmp_path)
    claims = write_claims(results)
    chart = forest(open_results(tmp_path))
    assert chart is not None
    texts = [text.get_text() for ax in chart.figure.axes for text in ax.texts]
    assert sum("[" in text for text in texts) == len(claims) == 26
    assert [ax.get_title(loc="left") for ax in chart.figure.axes] == ["C7: BN works after the activation too"]
    assert any(text.startswith("With tanh") for text in texts)
    rows = [label.get_text() for label in chart.figure.axes[0].get_yticklabels()]
    assert rows[0] == "MLP, sigmoid"
