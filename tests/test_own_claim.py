"""A claim of a study's own, as `examples/own_claim.toml` has one: planned, judged, reported, in a paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bn_ablate as bn
from bn_ablate.analysis import combine_claims, write_board, write_claims, write_paper, write_report
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.style import LOOKS
from bn_ablate.analysis.pages import report
from bn_ablate.cli import main as cli
from bn_ablate.cli.console import make_console
from bn_ablate.cli.results_shown import show_claims
from bn_ablate.config import extensions
from bn_ablate.config.claims import CLAIMS, FIGURES
from bn_ablate.plan import make_plan, quick
from bn_ablate.results import ResultsError
from bn_ablate.sinks.content import study_content
from tests.patches import few_figures
from tests.synthetic import write_results

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_claim.toml"
SAYS = "lets networks train at higher learning rates"
ENTRY = "@misc{me2026rates,\n  author = {Me},\n  title = {Rates},\n  year = {2026}\n}"


def table(**own: Any) -> dict[str, Any]:
    """The example, with other keys in the table of its claim."""
    said = tomllib.loads(EXAMPLE.read_text(encoding="utf-8")) | {"extensions": [str(EXAMPLE.with_suffix(".py"))]}
    return said | {"claims": {"RATES": said["claims"]["RATES"] | own}}


def better(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
    """A rate of 1 costs 30 points without BN, and nothing with it."""
    lost = 0.3 * (levels["learning_rate"] == 1.0) * (levels["placement"] == "none")
    return row | {"final_test_accuracy": 0.9 - lost + 0.001 * seed * (levels["placement"] == "none")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "own_claim"
    write_results(root, table(cites=["yang2019mean", "me2026rates"], bibtex=ENTRY), change=better)
    with pytest.MonkeyPatch.context() as patch:
        few_figures(patch)
        patch.setattr(report, "charts", lambda results: filter(None, [claim_figure(results)]))
        write_report(root)
    forget_extensions()
    return root


def forget_extensions() -> None:
    for path in tuple(extensions.LOADED):
        extensions.forget(path)


@pytest.fixture(autouse=True)
def _forgotten_afterwards() -> Iterator[None]:
    yield
    forget_extensions()


def test_the_example_is_planned_in_both_forms() -> None:
    study = bn.load_study(EXAMPLE)
    assert (study.claim, study.claims["RATES"].says) == ("RATES", SAYS)
    for form in (study, quick(study)):
        assert len(make_plan(form).cells) == 4
        assert bn.build_study(json.loads(form.model_dump_json())) == form
    assert "claims" not in json.loads(bn.build_study({"name": "x", "claim": "C4"}).model_dump_json())


def test_its_words_are_on_the_report_and_the_board_and_in_the_terminal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"claim RATES: Batch Normalization {SAYS}" in (folder / "report.html").read_text(encoding="utf-8")
    said = combine_claims([folder])
    (claim,) = said["claims"]
    assert (claim["claim"], claim["verdict"], claim["says"]) == ("RATES", "supported", SAYS)
    write_board([folder], said, tmp_path / "claims.html")
    page = (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert f"RATES · Batch Normalization {SAYS}" in page
    assert "Supported if a learning rate of 1 costs less test accuracy with BN than without; contradicted if it" in page
    show_claims(make_console(), said, tmp_path / "claims.json")
    assert "RATES" in capsys.readouterr().out


@pytest.mark.usefixtures("draw_little")
def test_a_paper_cites_what_it_cites(folder: Path, tmp_path: Path) -> None:
    write_paper([folder], tmp_path / "paper")
    claims, references = ((tmp_path / "paper" / name).read_text() for name in ("claims.tex", "results.bib"))
    assert f"RATES & {SAYS}~\\cite{{yang2019mean,me2026rates}} & supported" in claims
    assert ENTRY in references
    assert "@inproceedings{yang2019mean," in references
    assert re.search(r"\\bnset\{RATES/verdict\}\{supported\}", (tmp_path / "paper" / "numbers.tex").read_text())


def test_weights_and_biases_has_it(folder: Path) -> None:
    run = study_content(bn.open_results(folder))
    assert "RATES" in run.tags
    assert run.config["config"]["claims"]["RATES"]["says"] == SAYS


def test_it_may_be_shown_as_another_claim_is(tmp_path: Path) -> None:
    axes = {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]}
    study = {"name": "own", "claim": "MINE", "claims": {"MINE": {"says": "x"}}, "seeds": 2, "axes": axes}
    assert claim_figure(write_results(tmp_path / "none", study)) is None
    drawn = claim_figure(
        write_results(tmp_path / "c6", study | {"claims": {"MINE": {"says": "x", "figure": "dropout"}}})
    )
    assert drawn is not None
    assert {claim.figure for claim in CLAIMS.values()} == set(FIGURES)
    assert all(FIGURES.get(name) for name in FIGURES)


def test_its_figure_is_drawn_by_its_file_which_is_run_when_asked_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (folder / "figures" / "claim.svg").is_file()  # by the study that was run
    results = bn.open_results(folder)
    assert claim_figure(results) is None
    assert not extensions.LOADED
    few_figures(monkeypatch)
    copy = Path(shutil.copytree(folder, tmp_path / "own_claim"))
    assert cli.main(["report", str(copy)]) == 0
    remedy = f"`bn-ablate report {copy} --extension {EXAMPLE.with_suffix('.py')}` draws it"
    assert (
        f"the figure 'rates' of the claim RATES is not drawn, since no file is run that came with results: {remedy}"
        in (capsys.readouterr().out)
    )
    assert "The figure 'rates' of the claim RATES is not drawn" in html.unescape((copy / "report.html").read_text())
    assert cli.main(["report", str(copy), "--extension", str(EXAMPLE.with_suffix(".py"))]) == 0
    assert "not drawn" not in capsys.readouterr().out + (copy / "report.html").read_text()
    chart = claim_figure(results)
    assert chart is not None
    (ax,) = chart.figure.axes
    assert ax.get_ylabel() == "Final test accuracy (%)"
    (flat,) = [line for line in ax.lines if line.get_color() == LOOKS["none"].color and len(line.get_xdata()) == 2][:1]
    assert list(flat.get_ydata()) == pytest.approx([90.45, 60.45])  # 90% less 30 points, and 0.1 point for each seed


def test_its_file_is_in_no_lane_and_training_does_not_need_it() -> None:
    with_figure, without = (table(figure=figure) for figure in ("rates", ""))
    study = bn.build_study(with_figure)
    ids = {lane.id for lane in make_plan(study).lanes}
    assert ids == {lane.id for lane in make_plan(bn.build_study(without)).lanes}
    forget_extensions()
    extensions.require(study)


def test_a_figure_that_is_none_says_so(tmp_path: Path) -> None:
    def wrong(results: bn.Results) -> str:
        return "a chart"

    bn.figure("wrong")(wrong)
    axes = {"placement": ["none", "pre"]}
    study = {"name": "own", "claim": "MINE", "claims": {"MINE": {"says": "x", "figure": "wrong"}}, "axes": axes}
    with pytest.raises(bn.ExtensionError, match=r"the figure 'wrong' gives a str: it should give a bn\.Chart, or None"):
        claim_figure(write_results(tmp_path, study | {"seeds": 2}))
    FIGURES.remove(FIGURES.origin("wrong"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "key", "message"),
    [
        ({"claim": "RATE"}, "claim", "there is no table [claims.RATE]; did you mean 'RATES'?"),
        ({"claims": {"C4": {"says": "x"}}}, "claims.C4", "comes with the package: give yours another name"),
        ({"claims": {"a b": {"says": "x"}}}, "claims.a b", "is no name of a claim"),
        ({"claims": {"X": {"sayz": "x"}}}, "claims.X.sayz", "did you mean 'says'?"),
        ({"claims": {"X": {"says": "x", "figure": "dropuot"}}}, "claims.X.figure", "did you mean 'dropout'?"),
        ({"claims": {"X": {"says": "x", "cites": ["y"]}}}, "claims.X.cites", "'y' is no entry of claims.X.bibtex"),
    ],
)
def test_mistakes_are_named(table: dict[str, Any], key: str, message: str) -> None:
    rates = {"RATES": {"says": "x"}}
    with pytest.raises(bn.ConfigError) as caught:
        bn.build_study({"name": "x"} | table | {"claims": rates | table.get("claims", {})})
    found = {problem.key: problem.message for problem in caught.value.problems}
    assert message in found[key]


def test_one_name_is_one_claim(folder: Path, tmp_path: Path) -> None:
    write_claims(write_results(tmp_path / "other", table(says="does another thing") | {"name": "other"}, change=better))
    with pytest.raises(ResultsError, match="says another thing of its claim 'RATES'"):
        combine_claims([folder, tmp_path / "other"])
