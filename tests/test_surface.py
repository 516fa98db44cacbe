"""What a notebook and a terminal show of the package before anything is trained: names, short texts, the version."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from html import escape
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

import bn_ablate as bn
from bn_ablate.analysis import figures
from bn_ablate.analysis.figures.against import against
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.judge.shown import SIGNS_OF_VERDICTS
from bn_ablate.cli.main import COMMANDS, main
from bn_ablate.data import load
from bn_ablate.runs.bar import progress_bar
from tests.cli.command_line import TABLE
from tests.synthetic import write_results


def test_the_names_offered_are_the_public_ones_and_each_is_there() -> None:
    offered = subprocess.run(
        [sys.executable, "-c", "import bn_ablate; print(*dir(bn_ablate))"], capture_output=True, text=True, check=True
    )
    assert offered.stdout.split() == sorted(bn.__all__)
    assert all(hasattr(bn, name) for name in bn.__all__)


def test_what_is_shown_of_a_plan_a_cell_and_a_data_set_fits_on_a_line() -> None:
    plan = bn.make_plan(bn.build_study({"name": "tiny", "axes": {"placement": ["none", "pre"]}, "seeds": 3}))
    assert repr(plan) == "Plan(tiny: 2 cells, 3 seeds, 6 lanes, 1 program)"
    assert repr(plan.cells[1]) == "Cell(levels={'placement': 'pre'})"
    assert repr(load("digits")) == "Dataset(digits 1.0.0: 1797 of 8 × 8 × 1, 10 classes)"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bn-ablate {bn.__version__}\n"


@pytest.mark.parametrize(("word", "nearest"), [("rnu", "run"), ("verfiy", "verify"), ("check_device", "check-device")])
def test_a_mistyped_command_gets_its_nearest(word: str, nearest: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == f"bn-ablate: {word!r} is none of {', '.join(COMMANDS)}; did you mean {nearest!r}?\n"


def test_a_study_from_keywords_is_that_of_the_same_table_and_says_the_same_of_mistakes() -> None:
    axes = {"placement": ["none", "pre"]}
    assert bn.build_study(name="s", seeds=3, axes=axes) == bn.build_study({"name": "s", "seeds": 3, "axes": axes})
    assert bn.build_study({"name": "s", "seeds": 2}, ["seeds=4"], seeds=3).seeds == 4
    with pytest.raises(bn.ConfigError) as by_keywords:
        bn.build_study(name="s", axes={"placment": ["pre"]}, sedes=3)
    with pytest.raises(bn.ConfigError) as by_table:
        bn.build_study({"name": "s", "axes": {"placment": ["pre"]}, "sedes": 3})
    assert str(by_keywords.value) == str(by_table.value)


def test_a_notebook_shows_a_plan_as_its_axes() -> None:
    html = bn.make_plan(bn.build_study(name="s", title="<b>", seeds=2, axes={"width": [4, 8]}))._repr_html_()
    assert "<tr><th>width</th><td>4, 8</td></tr>" in html
    assert "2 cells × 2 seeds: 4 lanes, 2 compiled programs" in html
    assert "<b>s</b> &lt;b&gt;" in html


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> bn.JudgedResults:
    """Results of which no report was written."""
    statement = "BN <before> is better."
    hypothesis = {"id": "h", "kind": "contrast", "statement": statement, "metric": "final_test_accuracy"}
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}, "alternative": "greater"}
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    table = {"name": "judged", "seeds": 6, "train": {"steps": 100}, "axes": axes, "hypotheses": [hypothesis | sides]}
    return bn.open_results(str(write_results(tmp_path_factory.mktemp("judged"), table).path))


def test_results_are_judged_when_asked_and_as_the_report_judges_them(
    results: bn.JudgedResults, tmp_path: Path, draw_little: None
) -> None:
    before = sorted(results.path.rglob("*"))
    (claim,) = results.claims
    assert (claim["id"], claim["n_seeds"]) == ("h", 6)
    assert sorted(results.path.rglob("*")) == before
    copy = str(shutil.copytree(results.path, tmp_path / "copy"))
    bn.write_report(copy)
    assert json.loads((tmp_path / "copy" / "claims.json").read_text())["hypotheses"] == results.claims
    assert bn.verify(copy) == []


def test_the_figures_are_those_of_the_report_by_name(
    results: bn.JudgedResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(of: bn.Results) -> list[bn.Chart | None]:
        return [forest(of), against(of, "dropout_rate", "accuracy")]

    monkeypatch.setattr(figures, "charts", two)  # drawing all takes its time
    chart = results.plot("accuracy_vs_dropout")
    shown = chart._repr_html_()
    assert f"<figcaption>{escape(chart.caption)}</figcaption>" in shown
    (png,) = re.findall('src="data:image/png;base64,([^"]+)"', shown)
    assert b64decode(png).startswith(b"\x89PNG")
    by_name = results.figures()
    assert list(by_name) == ["hypotheses", "accuracy_vs_dropout"]
    assert all(isinstance(figure, Figure) for figure in by_name.values())
    with pytest.raises(bn.ConfigError, match="'accuracy' is none of hypotheses, accuracy_vs_dropout"):
        results.plot("accuracy")


def test_a_notebook_shows_results_as_their_verdicts(results: bn.JudgedResults, tmp_path: Path) -> None:
    (claim,) = results.claims
    html = results._repr_html_()
    assert "BN &lt;before&gt; is better." in html
    assert f"{SIGNS_OF_VERDICTS[claim['verdict']]} {claim['verdict']}</span>" in html
    assert html.count("<tr") == 2
    hurt = shutil.copytree(results.path, tmp_path / "hurt")
    (hurt / "lanes.parquet").unlink()
    shown = bn.open_results(hurt)._repr_html_()
    assert "lanes.parquet: is missing" in shown
    assert "<table>" not in shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_run_shows_a_bar_in_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bn.RunProgress] = []
    monkeypatch.setattr(sys, "stderr", Terminal())
    bn.run(bn.build_study(TABLE), tmp_path, on_progress=seen.append)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "training" in shown
    assert "4/4 lanes" in shown
    assert seen[0].batch_loss is not None
    assert "loss " in seen[0].state


def test_the_bar_is_an_output_of_a_notebooks_cell_and_nothing_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    now = bn.RunProgress(1, 4, 50, 200, 1.0, 1, batch_loss=np.array([[0.5, np.nan], [0.7, 0.6]]))
    with progress_bar() as update:
        update(now)
    assert not sys.stderr.getvalue()  # type: ignore[attr-defined]
    outputs: list[str] = []
    output = SimpleNamespace(update=outputs.append)
    fake = SimpleNamespace(HTML=str, display=lambda html, display_id: outputs.append(html) or output)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    with progress_bar(False) as update:
        update(now)
    assert not outputs
    with progress_bar() as update:
        update(now)
    assert "compiling …" in outputs[0]
    assert outputs[1].startswith('<progress value="0.250"')
    assert outputs[1].endswith("25% 1/4 lanes · 50 lane-steps/s · 0:03 left · loss 0.6 · 1 diverged")
