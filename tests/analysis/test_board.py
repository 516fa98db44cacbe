"""The page over several studies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.analysis import write_board, write_claims, write_combined_claims
from tests.synthetic import write_results


def study(folder: Path, claim: str, gain: float) -> Path:
    def change(levels: dict[str, Any], seed: int, row: dict[str, Any]) -> dict[str, Any]:
        better = levels["placement"] == "pre"
        return row | {"final_test_accuracy": 0.8 + 0.001 * seed + (gain + 0.0002 * seed if better else 0.0)}

    hypothesis = {
        "id": "better",
        "claim": claim,
        "primary": True,
        "kind": "contrast",
        "statement": "BN <b>is</b> better",
        "metric": "final_test_accuracy",
        "a": {"placement": "pre"},
        "b": {"placement": "none"},
        "alternative": "greater",
    }
    table = {"name": folder.name, "title": f"{claim} & more", "claim": claim, "seeds": 10}
    axes = {"placement": ["none", "pre", "post"], "dropout_rate": [0.0, 0.5]}
    write_claims(write_results(folder, table | {"axes": axes, "hypotheses": [hypothesis]}, change=change))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("board")
    folders = [study(root / "good", "C4", 0.05), study(root / "bad", "C6", -0.05)]
    (folders[0] / "report.html").write_text("the report")
    said = write_combined_claims(folders, root / "claims.json")
    write_board(folders, said, root / "claims.html")
    return (root / "claims.html").read_text(encoding="utf-8")


def test_the_board_says_what_the_claims_say(page: str) -> None:
    assert re.findall(r'data-claim="(\w+)" data-verdict="(\w+)"', page) == [("C4", "supported"), ("C6", "contradicted")]
    assert re.findall(r'data-hypothesis="better" data-verdict="(\w+)"', page) == ["supported", "contradicted"]
    assert "+5.090 pp" in page


def test_it_needs_nothing_but_itself(page: str) -> None:
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "<script" not in page
    assert page.count("<svg viewBox") == 2
    assert 'href="good/report.html"' in page
    assert "bad/report.html" not in page


def test_what_studies_say_is_escaped_and_ids_are_their_own(page: str) -> None:
    assert "BN &lt;b&gt;is&lt;/b&gt; better" in page
    assert "C4 &amp; more" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
