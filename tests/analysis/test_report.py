"""The report as a whole: files, page, tables, and that it is the same each time."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import shutil
import tomllib
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.analysis import report_at, write_report
from bn_ablate.analysis.figures import charts
from bn_ablate.analysis.judge.shown import estimate_text, p_text
from bn_ablate.analysis.pages import report
from bn_ablate.analysis.pages.report import html_page
from bn_ablate.analysis.pages.study_text import study_toml
from bn_ablate.analysis.pages.tables import tex
from bn_ablate.config import build_study
from bn_ablate.config.quantity import quantity
from bn_ablate.results import ResultsError, open_results, verify
from tests.synthetic import write_results

HOSTILE = '<script>alert("x")</script> & 100% of_$x^2$ \\input{y} </title>'

STUDY: dict[str, Any] = {
    "name": "small",
    "title": HOSTILE,
    "description": HOSTILE,
    "seeds": 6,
    "train": {"steps": 100},
    "model": {"depth": 1},
    "axes": {"placement": ["none", "pre"], "dropout_rate": [0.0, 0.5]},
    "hypotheses": [
        {
            "id": "better",
            "claim": "C7",
            "kind": "contrast",
            "statement": HOSTILE,
            "metric": "final_test_accuracy",
            "alternative": "greater",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        },
        {
            "id": "same",
            "kind": "equivalence",
            "statement": "BN leaves the test loss as it is.",
            "metric": "final_test_loss",
            "margin": 0.02,
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        },
        {
            "id": "interaction",
            "kind": "interaction",
            "statement": "Dropout costs more with BN.",
            "metric": "final_test_accuracy",
            "a": {"placement": "pre", "dropout_rate": 0.5},
            "b": {"placement": "pre", "dropout_rate": 0.0},
            "c": {"placement": "none", "dropout_rate": 0.5},
            "d": {"placement": "none", "dropout_rate": 0.0},
        },
        {
            "id": "slope",
            "kind": "slope",
            "statement": "Dropout costs accuracy, for each placement.",
            "metric": "final_test_accuracy",
            "axis": "dropout_rate",
            "each": ["placement"],
            "a": {},
        },
        {
            "id": "shift",
            "kind": "optimum_shift",
            "statement": "With BN the best rate is lower.",
            "metric": "final_validation_loss",
            "axis": "dropout_rate",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        },
        {
            "id": "level",
            "kind": "equivalent_level",
            "statement": "BN is worth some dropout.",
            "metric": "final_train_loss",
            "axis": "dropout_rate",
            "level": 0.1,
            "a": {"placement": "pre", "dropout_rate": 0.5},
            "b": {"placement": "none"},
        },
        {
            "id": "tuned",
            "kind": "contrast",
            "statement": "BN helps where the rate is chosen.",
            "metric": "final_test_accuracy",
            "select": {"axis": "dropout_rate"},
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        },
    ],
}


class Page(HTMLParser):
    """The tags of a page, its verdicts by hypothesis, and whether every tag is closed in turn."""

    VOID = ("meta", "input", "br", "link", "image", "path", "use", "rect", "stop")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    write_results(path, STUDY, diverged=lambda levels, seed: levels["placement"] == "none" and seed == 3)
    return path


@pytest.fixture(scope="module")
def written(folder: Path) -> list[Path]:
    (folder / "figures").mkdir()
    (folder / "figures" / "of_yesterday.png").write_bytes(b"old")
    return write_report(folder)


@pytest.fixture(scope="module")
def page(folder: Path, written: list[Path]) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_everything_is_written_and_sealed(folder: Path, written: list[Path]) -> None:
    assert verify(folder) == []
    names = {file.relative_to(folder).as_posix() for file in written}
    assert {"claims.json", "report.html", "tables/cells.csv", "tables/cells.tex", "tables/verdicts.tex"} <= names
    assert {f"figures/accuracy_vs_dropout.{form}" for form in ("pdf", "svg", "png")} <= names
    assert sorted((folder / "figures").iterdir()) == sorted(file for file in written if file.parent.name == "figures")
    starts = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<?xml"}
    assert all(file.read_bytes().startswith(starts[file.suffix]) for file in (folder / "figures").iterdir())


@pytest.mark.parametrize("most", [1, pytest.param(None, marks=pytest.mark.slow)])
def test_the_same_results_give_the_same_bytes(
    folder: Path, written: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    """With so many figures: to draw them takes longest."""
    again = Path(shutil.copytree(folder, tmp_path / folder.name))
    monkeypatch.setattr(report, "charts", lambda results: itertools.islice(charts(results), most))
    names = [file.relative_to(again) for file in write_report(again)]
    if most is None:
        assert names == [file.relative_to(folder) for file in written]
    else:
        names.remove(Path("report.html"))
        assert len([name for name in names if name.parent.name == "figures"]) == 3 * most
    assert [name for name in names if (again / name).read_bytes() != (folder / name).read_bytes()] == []


def test_the_page_is_well_formed_and_stands_alone(folder: Path, page: Page) -> None:
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href"):
            leads = attrs.get(name) or "#"
            assert leads.startswith(("#", "data:")) or (folder / leads).is_file(), leads
    text = (folder / "report.html").read_text(encoding="utf-8")
    targets = re.findall(r'(?:href="#|url\(#)([^")]+)', text)
    assert targets
    assert set(targets) <= set(ids)
    assert len(text) < 1_000_000


def test_the_board_says_what_claims_say(folder: Path, page: Page) -> None:
    board = {a["id"]: a["data-verdict"] for _, a in page.tags if "data-verdict" in a}
    claims = open_results(folder).claims
    assert board == {f"hypothesis-{claim['id']}": claim["verdict"] for claim in claims}
    text = " ".join(page.text)
    for claim in claims:
        assert claim["statement"] in text
        assert claim["reason"] in text
        assert estimate_text(claim) in text


def test_the_study_on_the_page_makes_the_same_study(folder: Path, page: Page) -> None:
    (text,) = (text for text in page.text if text.startswith("name = "))
    assert "[[hypotheses]]" in text
    assert build_study(tomllib.loads(text)) == open_results(folder).study
    odd = build_study(
        name="odd", title='A "name" \\ × \n', axes={"activation": ["relu"]}, claims={"X1": {"says": "='#"}}
    )
    assert build_study(tomllib.loads(study_toml(odd))) == odd


def test_a_report_on_a_study_that_has_changed_is_kept(
    folder: Path, written: list[Path], tmp_path: Path, draw_little: None
) -> None:
    again = Path(shutil.copytree(folder, tmp_path / "again"))
    before = (again / "report.html").read_text(encoding="utf-8")
    write_report(again)
    assert not (again / "earlier").exists()
    manifest = json.loads((again / "manifest.json").read_text())
    was = manifest["config_sha256"]
    last = (again / "report.html").read_text(encoding="utf-8")
    (again / "manifest.json").write_text(json.dumps(manifest | {"config_sha256": "ab" * 32}))
    write_report(again)
    assert (again / "earlier" / was[:8] / "report.html").read_text(encoding="utf-8") == last != before
    assert f'href="earlier/{was[:8]}/report.html"' in (again / "report.html").read_text(encoding="utf-8")
    assert verify(again) == []
    assert report_at(again, was[:4]) == again / "earlier" / was[:8] / "report.html"
    assert report_at(again, "ab" * 32) == again / "report.html"
    with pytest.raises(ResultsError, match=f"no report on a study whose hash begins with '00'; .* {was[:8]}, abababab"):
        report_at(again, "00")


def test_hostile_names_stay_text(page: Page) -> None:
    scripts = [tag for tag, _ in page.tags if tag == "script"]
    assert len(scripts) == 4  # of the explorer: its library, its data and itself; and of the tables
    assert "".join(page.text).count(HOSTILE) >= 4  # title, heading, description, statement


def test_figures_have_alternatives_and_follow_the_page(folder: Path, page: Page) -> None:
    drawings = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(drawings) == len(list((folder / "figures").glob("*.svg")))
    assert all(attrs["aria-label"] for attrs in drawings)
    assert "#0072b2" not in (folder / "report.html").read_text(encoding="utf-8").split("</style>")[1]


def test_tables_hold_every_lane_and_cell(folder: Path, page: Page) -> None:
    rows = sum(tag == "tr" for tag, _ in page.tags)
    assert rows == (1 + 4) + (1 + 24)
    with (folder / "tables" / "cells.csv").open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert [cell["diverged"] for cell in cells] == ["1", "1", "0", "0"]
    with (folder / "tables" / "verdicts.csv").open(encoding="utf-8") as file:
        verdicts = list(csv.DictReader(file))
    assert [row["verdict"] for row in verdicts] == [claim["verdict"] for claim in open_results(folder).claims]


def test_what_would_make_the_page_too_large_is_left_out_the_lanes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parts() -> list[str]:
        page = html_page(open_results(folder), [], [], [])
        sizes.append(len(page.encode()))
        return [part for part in ('<tr data-cell="', 'id="explorer-data"', '<tr id="cell-0"') if part in page]

    sizes: list[int] = []
    _, explorer, cells = parts()
    for left in ([explorer, cells], [cells], []):
        monkeypatch.setattr(report, "MOST_BYTES", sizes[-1] - 1)
        assert parts() == left
    assert sizes == sorted(sizes, reverse=True)
    monkeypatch.undo()
    monkeypatch.setattr(report, "MOST_ROWS", 4)
    assert parts() == [explorer, cells]
    monkeypatch.setattr(report, "MOST_ROWS", 3)
    assert parts() == [explorer]


def test_latex_tables(folder: Path, written: list[Path]) -> None:
    cells = (folder / "tables" / "cells.tex").read_text(encoding="utf-8")
    assert cells.startswith("% needs booktabs\n\\begin{tabular}{@{}lrr@{}}\n\\toprule\n")
    assert cells.count("\\textbf{") == 1
    assert cells.count("$^{\\dagger1}$") == 2
    verdicts = (folder / "tables" / "verdicts.tex").read_text(encoding="utf-8")
    assert r"\textless{}script\textgreater{}alert" in verdicts
    assert r"100\% of\_\$x\textasciicircum{}2\$ \textbackslash{}input\{y\}" in verdicts


def test_tex_escapes() -> None:
    assert tex("a & b\n\\\\ {c} ~ 5% #1 −2 ≤ γ") == (
        r"a \& b \textbackslash{}\textbackslash{} \{c\} \textasciitilde{} 5\% \#1 $-$2 $\leq$ $\gamma$"
    )


def test_numbers_as_people_read_them() -> None:
    accuracy, loss = quantity("final_test_accuracy").unit, quantity("gap").unit
    assert accuracy.value(0.98765) == "98.77"
    assert accuracy.difference(-0.0123) == "−1.23 pp"
    assert loss.difference(0.12345) == "+0.123 nats"
    assert loss.value(0.00001234) == "1.23e-05"
    assert (loss.value(None), loss.value(float("nan")), loss.value(float("-inf"))) == ("–", "–", "−∞")
    assert (p_text(0.0005), p_text(0.0123), p_text(None)) == ("< 0.001", "0.012", "–")


def test_an_incomplete_run_says_so(tmp_path: Path) -> None:
    results = write_results(tmp_path, {"name": "part", "seeds": 1})
    manifest = results.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"status": "complete"', '"status": "interrupted"'))
    page = html_page(open_results(tmp_path), [], [], [])
    assert "its status is interrupted" in page
    assert report.marked("`a <b>` & c") == "<code>a &lt;b&gt;</code> &amp; c"
    assert 'id="verdicts"' not in page


def test_not_a_results_folder(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="not a results folder"):
        write_report(tmp_path)


def test_every_lane_names_its_cell(folder: Path, written: list[Path]) -> None:
    results = open_results(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    cells = {
        place: re.findall(r"<td[^>]*>([^<]*)</td>", row)[:2]
        for place, row in re.findall(r'<tr id="cell-(\d+)">(.*?)</tr>', page)
    }
    lanes = re.findall(r'<tr data-cell="(\d+)" tabindex="(-?\d)">(.*?)</tr>', page)
    assert len(lanes) == results.lanes.height == 24
    assert len(cells) == 4
    for place, _, row in lanes:
        assert re.findall(r"<td[^>]*>([^<]*)</td>", row)[:2] == cells[place]
    assert [reachable for _, reachable, _ in lanes] == ["0", *["-1"] * 23]
    assert '<div id="cell-note" class="card" role="tooltip" hidden></div>' in page


def test_a_long_table_is_in_the_page_whole_and_shows_some_of_its_rows(
    folder: Path, written: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "FIRST_ROWS", 4)  # as many as there are cells
    page = html_page(open_results(folder), [], [], [])
    whole = (folder / "report.html").read_text(encoding="utf-8")
    row = re.compile(r'<tr data-cell="(\d+)" tabindex="-?\d">(.*?)</tr>')
    lanes = [(int(cell), re.findall(r"<td[^>]*>([^<]*)</td>", texts)) for cell, texts in row.findall(whole)]
    assert len(row.findall(page)) == 4
    (packed,) = re.findall(r'id="lane-table-rows">([^<]*)</script>', page)
    assert [
        (cell, [text for (text,) in texts]) for cell, *texts in json.loads(gzip.decompress(b64decode(packed)))
    ] == lanes
    assert '-rows">' not in whole
    assert 'cell-table-rows">' not in page
