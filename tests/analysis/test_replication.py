"""Results held against published tables: the rule, on made-up lanes whose accuracies are set; and what is refused."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from bn_ablate.analysis import replicate
from bn_ablate.analysis.pages.replications import markdown
from bn_ablate.cli.main import main
from bn_ablate.config import ConfigError
from bn_ablate.results import Results, ResultsError, open_results
from tests.synthetic import write_results

STUDY: dict[str, Any] = {
    "name": "tried",
    "seeds": 6,
    "train": {"steps": 100},
    "measure": {"every": 50},
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]},
    "exclude": [{"placement": "pre", "dropout_rate": 0.5}],
}
NOISE = np.array([-3, 2, 1, -1, 3, -2]) / 1000
"""What each seed adds to the accuracy of its lanes: 0 on average."""


def accuracy(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
    """.970 without BN and .980 with it; half of the spread over seeds with BN."""
    pre = levels["placement"] == "pre"
    return row | {"final_test_accuracy": (0.98 if pre else 0.97) + NOISE[seed] * (0.5 if pre else 1.0)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write_results(tmp_path_factory.mktemp("tried"), STUDY, change=accuracy)


def held(results: Results, tmp_path: Path, *rows: str) -> dict[str, Any]:
    """What the rows, each as TOML without its id and metric, come to."""
    file = tmp_path / "published.toml"
    head = 'source = "A paper"\ndifferences = ["another optimizer"]\n'
    metric = 'metric = "final_test_accuracy"\n'
    text = [f'[[rows]]\nid = "r{i}"\n{"" if "metric" in row else metric}{row}\n' for i, row in enumerate(rows)]
    file.write_text(head + "".join(text))
    return replicate(results, file)


PLAIN = "cell = { placement = 'none', dropout_rate = 0.0 }\n"
BN = "cell = { placement = 'pre', dropout_rate = 0.0 }\n"


def test_deviation_and_interval_are_those_of_the_lanes(results: Results, tmp_path: Path) -> None:
    (row,) = held(results, tmp_path, f"{PLAIN}values = [0.971, 0.973]\nsd = 0.002\nunit = 0.001")["rows"]
    low, high = stats.t.interval(0.95, 5, 0.97, NOISE.std(ddof=1) / math.sqrt(6))
    assert row["interval"] == pytest.approx([low, high])
    assert row["estimate"] == pytest.approx(0.97)
    assert row["deviation"] == pytest.approx((0.970 - 0.972) / 0.002)
    assert row["within"] == pytest.approx(2 * 0.002 + 0.0005)
    assert (row["n_seeds"], row["n_excluded"], row["sd_of"]) == (6, 0, "published")
    assert row["sd_of_seeds"] == pytest.approx(NOISE.std(ddof=1))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("values = [0.9739]\nsd = 0.002", "replicated"),
        ("values = [0.9741]\nsd = 0.002", "not replicated"),
        ("values = [0.9661]\nsd = 0.002", "replicated"),
        ("values = [0.9741]\nsd = 0.002\nunit = 0.001", "replicated"),
        ("values = [0.9700]\nsd = 0.001", "undecided"),  # our mean is known to ± .0025
        ("values = [0.9744]", "replicated"),  # the SD of our seeds is .00237
        ("values = [0.9750]", "not replicated"),
        ("values = [0.974, 0.977, 0.980]", "not replicated"),  # their SD is .003, which is theirs
        ("values = [0.972, 0.975, 0.978]", "replicated"),
        ("values = [0.5]\nsd = 0.002\nnot_comparable = 'another network'", "not comparable"),
    ],
)
def test_the_rule(results: Results, tmp_path: Path, said: str, verdict: str) -> None:
    (row,) = held(results, tmp_path, PLAIN + said)["rows"]
    assert row["verdict"] == verdict
    assert row["reason"]


def test_a_direction_is_that_of_differences_within_seeds(results: Results, tmp_path: Path) -> None:
    """BN − none is .010 less half of the noise, which each seed has in both."""
    minus = f"{BN}minus = {{ placement = 'none', dropout_rate = 0.0 }}\n"
    up, down, still = held(
        results,
        tmp_path,
        f"{minus}direction = 'greater'",
        f"{minus}direction = 'less'",
        f"cell = {{ placement = 'none', dropout_rate = 0.5 }}\nminus = {PLAIN.partition('=')[2]}direction = 'less'",
    )["rows"]
    assert up["estimate"] == pytest.approx(0.010)
    half = stats.t.ppf(0.975, 5) * NOISE.std(ddof=1) / 2 / math.sqrt(6)
    assert up["interval"] == pytest.approx([0.010 - half, 0.010 + half])
    assert [row["verdict"] for row in (up, down, still)] == ["replicated", "not replicated", "undecided"]
    assert (up["deviation"], up["sd"]) == (None, None)


def test_what_a_study_has_throughout_may_be_named_too(results: Results, tmp_path: Path) -> None:
    cell = "cell = { placement = 'none', dropout_rate = 0.0, width = 128, optimizer = 'sgd' }\n"
    (row,) = held(results, tmp_path, f"{cell}values = [0.97]\nsd = 0.002")["rows"]
    assert row["verdict"] == "replicated"


def test_a_study_of_another_protocol_is_not_comparable(results: Results, tmp_path: Path) -> None:
    file = tmp_path / "published.toml"
    rows = f'[[rows]]\nid = "r0"\nmetric = "final_test_accuracy"\n{PLAIN}values = [0.97]\nsd = 0.002\n'
    for protocol, reason in [
        ('steps = 100, "data.name" = "digits"', None),
        (
            'steps = 500, "data.name" = "mnist"',
            "steps is 100 here, and 500 there; data.name is 'digits' here, and 'mnist'",
        ),
    ]:
        file.write_text(f'source = "A paper"\nprotocol = {{ {protocol} }}\n{rows}')
        (row,) = replicate(results, file)["rows"]
        assert row["verdict"] == ("not comparable" if reason else "replicated")
        assert reason is None or row["reason"].startswith(reason)
        assert row["deviation"] == pytest.approx(0.0, abs=1e-9)
    file.write_text(f'source = "A paper"\nprotocol = {{ stepz = 3 }}\n{rows}')
    with pytest.raises(ConfigError, match=r"protocol.stepz: there is neither such a factor .*did you mean 'steps'"):
        replicate(results, file)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("cell = { placement = 'post', dropout_rate = 0.0 }\nvalues = [1]",
         "rows.r0.cell.placement: the cell is not in the study: 'post' is none of none, pre"),
        ("cell = { placement = 'none' }\nvalues = [1]", "stands for 2 cells of the study, and must name one "
         r"\(dropout_rate: 0.0, 0.5\)"),
        ("cell = { placement = 'pre', dropout_rate = 0.5 }\nvalues = [1]", "the exclusions leave no such cell"),
        (f"{PLAIN[:-3]}, width = 64 }}\nvalues = [1]", "cell.width: is 64, and the study has 128 throughout"),
        (f"{PLAIN[:-3]}, lr = 0.1 }}\nvalues = [1]", "cell.lr: there is no such factor .*did you mean 'learning_rate'"),
        (f"{PLAIN}metric = 'final_test_acuracy'\nvalues = [1]", "r0.metric: 'final_test_acuracy' is none of .*mean "
         "'final_test_accuracy'"),
        (f"{PLAIN}metric = 'unit_drift'\nvalues = [1]", "r0.metric: 'unit_drift' is not there without `percentiles`"),
        (PLAIN, "the row 'r0' must say values, or else a direction"),
        (f"{PLAIN}direction = 'less'", "the row 'r0' says a direction: minus must name the cell"),
        (f"{PLAIN}values = [1]\nsdd = 3", r"rows\[0\].sdd: there is no such key .*did you mean 'sd'"),
        (f"{PLAIN}values = [1]\nsd = 0.0", r"rows\[0\].sd: is 0.0"),
    ],
)  # fmt: skip
def test_what_the_study_has_not_is_refused(results: Results, tmp_path: Path, row: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        held(results, tmp_path, row)


def test_results_of_no_whole_study_are_refused(results: Results, tmp_path: Path) -> None:
    unfinished = Results(results.path, results.manifest | {"status": "running"})
    with pytest.raises(ResultsError, match="the run is not complete: its status is 'running'; `bn-ablate run` resumes"):
        held(unfinished, tmp_path, f"{PLAIN}values = [1]")
    with pytest.raises(ResultsError, match="quick"):
        held(Results(results.path, results.manifest | {"quick": True}), tmp_path, f"{PLAIN}values = [1]")
    with pytest.raises(ConfigError, match="no published table comes with bn_ablate for the study 'tried'"):
        replicate(results)


def test_lanes_without_a_finite_number_are_left_out_and_counted(results: Results, tmp_path: Path) -> None:
    lost = pl.when(pl.col("seed") > 0).then(math.nan).otherwise(0.97).alias("final_test_accuracy")
    partly = Results(results.path, results.manifest)
    vars(partly)["lanes"] = results.lanes.with_columns(lost)
    (row,) = held(partly, tmp_path, f"{PLAIN}values = [0.97]")["rows"]
    assert (row["n_seeds"], row["n_excluded"], row["interval"], row["verdict"]) == (1, 5, None, "undecided")


def test_the_command_prints_a_table_and_what_differs(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = held(results, tmp_path, f"{PLAIN}values = [0.974]\nunit = 0.001\nsd = 0.002\ndifferences = ['no bias']")
    words = ["replicate", str(results.path), "--published", str(tmp_path / "published.toml")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert " 97.4 % " in shown
    assert " 97.000 [96.752, 97.248] %" in shown
    assert "−2.0 SD" in shown
    assert "protocol: another optimizer\nprotocol: r0: no bias" in shown
    assert main([*words, "--format", "markdown"]) == 0
    assert capsys.readouterr().out == markdown(said)
    assert "| 97.4 % | 97.000 [96.752, 97.248] % | 6 | 0.237 | −2.0 SD | replicated |" in markdown(said)


def test_a_damaged_table_is_not_held_to_anything(results: Results, tmp_path: Path) -> None:
    folder = shutil.copytree(results.path, tmp_path / "damaged")
    (folder / "lanes.parquet").write_bytes(b"nothing")
    with pytest.raises(ResultsError, match="its content has changed"):
        held(open_results(folder), tmp_path, f"{PLAIN}values = [1]")
