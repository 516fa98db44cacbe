"""The paper kit: what it holds, and that TeX takes it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import partial
from hashlib import sha256
from importlib.metadata import metadata
from pathlib import Path

import pytest

from bn_ablate.analysis import write_paper
from bn_ablate.analysis.figures.aggregates import aggregates
from bn_ablate.analysis.figures.overview import overview
from bn_ablate.analysis.pages.paper import SOFTWARE
from bn_ablate.config.claims import CLAIMS, literature
from bn_ablate.results import open_results
from bn_ablate.results.provenance import PACKAGES
from tests.analysis.test_board import study


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Path]:
    root = tmp_path_factory.mktemp("paper")
    folders = [study(root / "good_one", "C4", 0.05), study(root / "bad_one", "C6", -0.05)]
    with pytest.MonkeyPatch.context() as patch:  # of four figures the second study has two
        for name, draw in (("overview", overview), ("aggregates", aggregates)):
            of_the_first = partial(lambda draw, results: draw(results) if results.name == "good_one" else None, draw)
            patch.setattr(f"bn_ablate.analysis.pages.paper.{name}", of_the_first)
        write_paper(folders, root / "paper")
    return folders, root / "paper"


def test_every_number_of_every_hypothesis_has_a_name(made: tuple[list[Path], Path]) -> None:
    folders, paper = made
    named = dict(re.findall(r"\\bnset\{(.+?)\}\{(.*)\}\n", (paper / "numbers.tex").read_text()))
    assert named["claims"] == "2"
    assert named["C4/verdict"] == "supported"
    for folder in folders:
        for record in open_results(folder).claims:
            for what in ("estimate", "low", "high", "interval", "p", "effect", "n", "verdict"):
                assert named[f"{folder.name}/{record['id']}/{what}"]
    assert named["bad_one/better/estimate"] == "$-$4.910 pp"
    assert named["good_one/lanes"] == "60"


def test_every_file_is_in_the_provenance_with_its_hash(made: tuple[list[Path], Path]) -> None:
    _, paper = made
    said = json.loads((paper / "PROVENANCE.json").read_text())
    present = {file.relative_to(paper).as_posix() for file in paper.rglob("*") if file.is_file()}
    assert present - said["files"].keys() == {"PROVENANCE.json", "main.tex"}
    for name, digest in said["files"].items():
        assert sha256((paper / name).read_bytes()).hexdigest() == digest
    assert said["studies"]["good_one"]["git"]["sha"].startswith("0123")
    assert {"figures/good_one-claim.pdf", "figures/bad_one-hypotheses.pdf", "tables/bad_one.tex"} <= present


def test_it_is_written_again_as_it_was_and_an_edited_sample_stays(
    made: tuple[list[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one figure of each study; that all of them are drawn alike twice, `test_report.py` asks."""
    folders, paper = made[0], tmp_path / "paper"
    for draw in ("claim_figure", "overview", "aggregates"):
        monkeypatch.setattr(f"bn_ablate.analysis.pages.paper.{draw}", lambda results: None)
    write_paper(folders, paper)
    before = {file: file.read_bytes() for file in paper.rglob("*") if file.is_file()}
    main = paper / "main.tex"
    main.write_text("mine")
    write_paper(folders, paper)
    assert main.read_text() == "mine"
    main.write_bytes(before[main])
    assert {file: file.read_bytes() for file in before} == before


def test_what_claims_cite_is_in_the_references(made: tuple[list[Path], Path]) -> None:
    _, paper = made
    cited = re.findall(r"\\cite\{([^}]+)\}", (paper / "claims.tex").read_text())
    keys = set(re.findall(r"@\w+\{([^,]+),", (paper / "results.bib").read_text()))
    assert len(cited) == 2
    assert {key for keys_of in cited for key in keys_of.split(",")} <= keys
    assert "software-jax" in keys


def test_every_claim_cites_what_is_there() -> None:
    keys = re.findall(r"(?m)^@\w+\{([^,]+),", literature())
    assert len(keys) == len(set(keys))
    assert all(claim.cites for claim in CLAIMS.values())
    assert {key for claim in CLAIMS.values() for key in claim.cites} <= set(keys)
    for entry in re.split(r"(?m)^(?=@)", literature())[1:]:
        for field in ("author", "title", "year"):
            assert re.search(rf"(?m)^  {field} = \{{.+\}},?$", entry), entry


def test_references_are_of_the_data_sets_that_were_used(made: tuple[list[Path], Path]) -> None:
    text = (made[1] / "results.bib").read_text(encoding="utf-8")
    assert re.findall(r"@\w+\{data-(\w+),", text) == ["digits"]


def test_packages_are_where_their_metadata_say() -> None:
    assert SOFTWARE.keys() == set(PACKAGES)
    for name, software in SOFTWARE.items():
        if software.place:
            of = metadata(name)
            assert software.place in str([of.get("Home-page"), *(of.get_all("Project-URL") or [])]), name


def test_fonts_are_embedded(made: tuple[list[Path], Path]) -> None:
    for file in (made[1] / "figures").glob("*.pdf"):
        content = file.read_bytes()
        assert b"/FontFile2" in content
        assert b"/Type3" not in content


@pytest.mark.slow
def test_the_sample_is_typeset(made: tuple[list[Path], Path], tmp_path: Path) -> None:
    for program in ("pdflatex", "bibtex"):
        assert shutil.which(program), "this test needs TeX Live: apt-get install texlive-latex-recommended"
    place = Path(shutil.copytree(made[1], tmp_path / "paper"))
    latex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    log = (place / "main.log").read_text(errors="replace")
    assert "undefined" not in log
    assert (place / "main.pdf").stat().st_size > 10_000
