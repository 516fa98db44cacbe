"""What a study says of itself is text, wherever it ends up: on pages, in TeX, on a terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from bn_ablate.analysis import write_board, write_combined_claims, write_paper
from bn_ablate.cli.results_shown import show_verdicts
from bn_ablate.results import open_results, seal
from tests.analysis.test_board import study

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> \\input{/etc/passwd} 100% _x_ $y$ #1 ^^5c }{"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose study and verdicts say hostile things."""
    path = study(tmp_path_factory.mktemp("hostile") / "good", "C4", 0.05)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["config"] |= {"title": HOSTILE, "description": HOSTILE}
    for hypothesis in manifest["config"]["hypotheses"]:
        hypothesis["statement"] = HOSTILE
    (path / "manifest.json").write_text(json.dumps(manifest))
    claims = json.loads((path / "claims.json").read_text())
    for record in claims["hypotheses"]:
        record["statement"] = HOSTILE
    (path / "claims.json").write_text(json.dumps(claims))
    seal(path)
    return path


def test_the_page_of_the_claims_shows_it(folder: Path, tmp_path: Path) -> None:
    said = write_combined_claims([folder], tmp_path / "claims.json")
    write_board([folder], said, tmp_path / "claims.html")
    page = (tmp_path / "claims.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"<script|<img", page)


def test_tex_typesets_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the paper has a command that is not ours: every \\input names a table."""
    monkeypatch.setattr("bn_ablate.analysis.pages.paper.image", lambda chart, form: b"")
    write_paper([folder], tmp_path)
    for file in tmp_path.rglob("*.tex"):
        text = file.read_text(encoding="utf-8")
        assert "^^" not in text
        assert all(
            name.startswith("tables/") for name in re.findall(r"\\input\{([^}]*)\}", text) if file.name != "main.tex"
        )
    assert r"\textbackslash{}input\{/etc/passwd\}" in (tmp_path / "studies.tex").read_text(encoding="utf-8")


def test_a_terminal_obeys_nothing_of_it(folder: Path) -> None:
    claims = [dict(record, statement="\x1b]0;owned\x07[bold]x[/]") for record in open_results(folder).claims]
    out = io.StringIO()
    show_verdicts(Console(file=out, width=200, force_terminal=False), claims)
    assert "\x1b" not in out.getvalue()
    assert "[bold]x[/]" in out.getvalue()
