"""What people see: plan, progress, summary and verdicts, as plain text of a console of known width."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from bn_ablate.cli import console as consoles
from bn_ablate.cli import plan_shown, progress_bar, results_shown
from bn_ablate.config import build_study
from bn_ablate.plan import RunProgress, clock, make_plan
from bn_ablate.plan.memory import Machine
from bn_ablate.results import Results


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def lines_of(console: Console) -> list[str]:
    return [line.rstrip() for line in text_of(console).splitlines()]


STUDY: dict[str, Any] = {
    "name": "x",
    "title": "BN and [bold]dropout[/bold] [/]",
    "seeds": 3,
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.25, 0.5]},
}


def test_the_plan(console: Console) -> None:
    plan_shown.show_plan(console, make_plan(build_study(STUDY)), 500 * 2**20)
    assert lines_of(console) == [
        "x  BN and [bold]dropout[/bold] [/]",
        "axis          levels",
        "placement     none, pre",
        "dropout_rate  0.0, 0.25, 0.5",
        "seed          0 to 2",
        "6 cells × 3 seeds = 18 lanes, 400 steps each; 1 compiled program; about 500 MiB of memory; 0 hypotheses",
    ]


def test_the_memory_that_may_be_taken_and_how_data_come_into_it(console: Console) -> None:
    machine = Machine("map", 2, 2 * 2**30)
    plan_shown.show_budget(console, 2**30, machine)
    plan_shown.show_budget(console, 2**30, machine, 20_000 * 2**20)
    budget = "lanes 1 at a time on a device (map), 2 devices; 2,048 MiB of memory may be taken"
    streamed = (
        "examples are read as they are needed, since all of them (20,000 MiB, on every device) would take more than "
        "half of it"
    )
    assert text_of(console).splitlines() == [budget, budget, streamed]


def test_the_plan_of_several_programs_and_chosen_seeds(console: Console) -> None:
    hypothesis: dict[str, Any] = {"id": "h", "kind": "contrast", "statement": "s", "metric": "gap"}
    hypothesis |= {"a": {"width": 8}, "b": {"width": 16}}
    axes = {"steps": [2000, 1000], "width": [8, 16]}
    plan = make_plan(build_study({"name": "x", "seeds": [4, 7], "axes": axes, "hypotheses": [hypothesis]}))
    plan_shown.show_plan(console, plan, 2**30)
    *_, seeds, summary = lines_of(console)
    assert seeds == "seed   4, 7"
    assert summary.startswith(
        "4 cells × 2 seeds = 8 lanes, 1,000 or 2,000 steps each; 4 compiled programs; about 1,024 MiB"
    )
    assert summary.endswith("1 hypothesis")


def progress(lanes: int, lane_steps: int, seconds: float, diverged: int = 0) -> RunProgress:
    return RunProgress(lanes, 20, lane_steps, 1000, seconds, diverged)


def test_progress_in_a_file_is_a_line_now_and_then(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: now[0])
    with progress_bar.run_progress(console) as on_progress:
        for now[0], update in [
            (101.0, progress(0, 100, 1.0)),
            (110.0, progress(5, 250, 2.0)),
            (119.9, progress(10, 500, 4.0)),
            (120.0, progress(12, 600, 5.0, diverged=2)),
        ]:
            on_progress(update)
    assert lines_of(console) == [
        "training  25%  5/20 lanes · 125 lane-steps/s · 0:06 left",
        "training  60%  12/20 lanes · 120 lane-steps/s · 0:03 left · 2 diverged",
    ]


def test_progress_before_the_first_step_and_with_nothing_to_do(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "SECONDS_BETWEEN_LINES", 0.0)
    with progress_bar.run_progress(console) as on_progress:
        on_progress(progress(0, 0, 0.0))
        on_progress(RunProgress(20, 20, 0, 0, 0.0, 0))
    assert lines_of(console) == [
        "training   0%  0/20 lanes · 0 lane-steps/s · 0:00 left",
        "training   0%  20/20 lanes · 0 lane-steps/s · 0:00 left",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, highlight=False)
    with progress_bar.run_progress(console) as on_progress:
        on_progress(progress(5, 250, 2.0))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text_of(console))
    assert "training" in shown
    assert "25% 5/20 lanes · 125 lane-steps/s · 0:06 left" in shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (61, "1:01"), (3599.9, "1:00:00"), (36_610, "10:10:10")],
)
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def results_of(axes: dict[str, list[Any]], rows: list[dict[str, Any]], seeds: int = 2) -> Results:
    """Results with these lanes; only what the summary reads is there."""
    study = build_study({"name": "x", "seeds": seeds, "axes": axes})
    results = Results(
        Path("nowhere"), {"study": "x", "config": study.model_dump(mode="json"), "seeds": list(range(seeds))}
    )
    schema = {"final_test_accuracy": pl.Float64, "status": pl.String}
    results.__dict__["lanes"] = pl.DataFrame(rows, schema_overrides=schema) if rows else pl.DataFrame(schema=schema)
    return results


def lane(accuracy: float, status: str = "ok", **levels: Any) -> dict[str, Any]:
    return levels | {"final_test_accuracy": accuracy, "status": status}


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]


def test_the_summary_has_the_longest_axis_across(console: Console) -> None:
    axes = {"placement": ["none", "pre"], "activation": ["relu"], "dropout_rate": [0.0, 0.25, 0.5]}
    rows = []
    for placement in axes["placement"]:
        for rate in axes["dropout_rate"]:
            if (placement, rate) == ("pre", 0.25):
                continue
            mean = 0.5 + 0.1 * rate + (0.2 if placement == "pre" else 0.0)
            status = "diverged" if (placement, rate) == ("none", 0.5) else "ok"
            levels = {"placement": placement, "activation": "relu", "dropout_rate": rate}
            rows += [lane(mean - 0.01, status, **levels), lane(mean + 0.01, **levels)]
    results_shown.show_summary(console, results_of(axes, rows))
    lines = lines_of(console)
    assert lines[0] == "Test accuracy, % (mean ± SD over 2 seeds)"
    table = [cells_of(line) for line in lines if re.match("[│┃]", line)]
    assert table == [
        ["", "", *["dropout rate"] * 3],
        ["placement", "activation", "0.0", "0.25", "0.5"],
        ["none", "relu", "50.0 ±1.4", "52.5 ±1.4", "55.0 ±1.4†"],
        ["pre", "relu", "70.0 ±1.4", "–", "75.0 ±1.4"],
    ]
    assert lines[-1] == "† some lanes of the cell diverged (1 in all); they count with the accuracy they have"


def test_the_summary_of_one_axis_and_one_seed(console: Console) -> None:
    rows = [lane(0.5, placement="none"), lane(0.625, placement="pre")]
    results_shown.show_summary(console, results_of({"placement": ["none", "pre"]}, rows, seeds=1))
    table = [cells_of(line) for line in lines_of(console) if re.match("[│┃]", line)]
    assert table == [["placement", "placement"], ["none", "pre"], ["50.0", "62.5"]]
    assert (
        lines_of(console)[0] == "Test accuracy, % (mean ± SD over 1 seed)"
    )  # on one line, though the table is narrower
    assert "†" not in text_of(console)


def test_a_repeated_level_is_said_once(console: Console) -> None:
    axes = {"placement": ["none", "pre"], "activation": ["relu", "tanh"], "width": [8, 16, 32]}
    rows = [
        lane(0.5, placement=p, activation=a, width=w)
        for p in axes["placement"]
        for a in axes["activation"]
        for w in (8, 16, 32)
    ]
    results_shown.show_summary(console, results_of(axes, rows))
    table = [cells_of(line)[:2] for line in lines_of(console) if line.startswith("│")]
    assert table == [["none", "relu"], ["", "tanh"], ["pre", "relu"], ["", "tanh"]]


def test_the_summary_without_axes_or_lanes(console: Console) -> None:
    results_shown.show_summary(console, results_of({}, [lane(0.5), lane(0.75)]))
    results_shown.show_summary(console, results_of({}, []))
    results_shown.show_summary(console, results_of({"placement": ["pre"]}, []))
    assert lines_of(console) == ["test accuracy 62.5% over 2 lanes", "no lanes", "no lanes"]


CLAIM: dict[str, Any] = {
    "id": "C4-gap",
    "kind": "contrast",
    "metric": "gap",
    "statement": "BN narrows the gap",
    "estimate": -0.12345,
    "interval": [-0.2, -0.05],
    "p_adjusted": 0.0123,
    "verdict": "supported",
    "reason": "It is clear.",
}


def test_the_verdicts(console: Console) -> None:
    claims = [
        CLAIM,
        CLAIM | {"id": "C7", "estimate": 0.5, "interval": [0.25, 0.75], "verdict": "contradicted"},
        CLAIM | {"id": "none", "estimate": None, "interval": None, "p_adjusted": None, "verdict": "inconclusive"},
        CLAIM | {"id": "nan", "estimate": float("nan"), "interval": [float("-inf"), 0.0], "verdict": "equivalent"},
        CLAIM | {"id": "off", "estimate": 0.8, "interval": [0.5, 0.8], "off_axis": {"estimate": ">", "high": ">"}},
    ]
    results_shown.show_verdicts(console, claims)
    lines = lines_of(console)
    assert lines[0] == "Hypotheses"
    table = [cells_of(line) for line in lines if re.match("[│┃]", line)]
    said = "BN narrows the gap (nats)"
    assert table == [
        ["hypothesis", "where", "estimate", "95% interval", "adjusted p", "verdict"],
        [f"C4-gap {said}", "", "−0.123", "[−0.200, −0.050]", "0.012", "supported"],
        [f"C7 {said}", "", "+0.500", "[+0.250, +0.750]", "0.012", "contradicted"],
        [f"none {said}", "", "–", "–", "–", "inconclusive"],
        [f"nan {said}", "", "–", "[−∞, 0.000]", "0.012", "equivalent"],
        [f"off {said}", "", "> 0.8", "[+0.500, > 0.8]", "0.012", "supported"],
    ]


def test_every_verdict_says_why(console: Console) -> None:
    floor = {"p": 0.002, "smallest_p": 0.002, "p_adjusted": 0.004, "family": 2, "n_seeds": 10}
    results_shown.show_verdicts(console, [CLAIM | floor, CLAIM | floor | {"id": "C7[/]", "verdict": "inconclusive"}])
    after = lines_of(console)[lines_of(console).index("C4-gap: supported. It is clear.") :]
    assert after[1] == "C7[/]: inconclusive. It is clear."
    assert " ".join(after[2:]).startswith(
        "2 hypotheses have the same adjusted p, 0.004: each has the smallest p that 10"
    )


def test_rows_of_one_hypothesis_stand_together(console: Console) -> None:
    rows = [
        CLAIM | {"id": f"gap.{level}", "statement": f"BN narrows the gap (activation {level})"}
        for level in ("hard_tanh", "relu")
    ]
    results_shown.show_verdicts(console, rows)
    table = [cells_of(line)[:2] for line in lines_of(console) if line.startswith("│")]
    assert table == [["gap BN narrows the gap (nats)", "hard tanh"], ["", "relu"]]


def test_the_times_of_studies_and_their_sum(console: Console) -> None:
    def took(name: str, lanes: int, compiling: float, training: float) -> Any:
        timing = {"compile_seconds": compiling, "train_seconds": training}
        manifest = {"timing": timing, "device": {"count": 2, "kind": "cpu"}}
        return SimpleNamespace(name=name, networks=SimpleNamespace(height=lanes), manifest=manifest)

    untimed = SimpleNamespace(name="old", networks=SimpleNamespace(height=5), manifest={})
    results_shown.show_times(console, [took("c1", 1000, 61.4, 59.0), took("c2", 500, 10.0, 3600.0), untimed])
    table = [cells_of(line) for line in lines_of(console) if line.startswith("│")]
    assert table == [
        ["c1", "1,000", "1:01", "0:59", "2 × cpu"],
        ["c2", "500", "0:10", "1:00:00", "2 × cpu"],
        ["all", "1,505", "1:11", "1:00:59", "1:02:10 in all"],
    ]


def test_no_hypotheses_no_table(console: Console) -> None:
    results_shown.show_verdicts(console, [])
    assert text_of(console) == ""


def test_names_cannot_style_or_break_the_output(console: Console) -> None:
    hostile = "[red]x[/red] [/] [link=http://127.0.0.1]y"
    results_shown.show_verdicts(console, [CLAIM | {"id": "a[/]", "statement": hostile}])
    assert "a[/]" in text_of(console)
    assert hostile in text_of(console)


def test_the_console_is_wide_enough_for_tables_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    console = consoles.make_console()
    console.print("x" * 120)
    assert capsys.readouterr().out == "x" * 120 + "\n"
