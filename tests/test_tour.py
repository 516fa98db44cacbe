"""The notebook of examples/ runs from its first cell to its last, and what its cells end in shows itself there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.config.names import ACTIVATIONS

TOUR = Path(__file__).resolve().parents[1] / "examples" / "tour.ipynb"


@pytest.mark.slow  # trains two studies, and draws
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    cells = ["".join(cell["source"]) for cell in json.loads(TOUR.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {"__name__": "__main__"}
    for i, cell in enumerate(cells):
        file = tmp_path / f"cell_{i}.py"  # the source of an activation is in the ids of lanes
        file.write_text(cell)
        exec(compile(cell, str(file), "exec"), names)
    origin = ACTIVATIONS.origin("squareplus")
    assert origin is not None
    ACTIVATIONS.remove(origin)
    results = names["results"]
    assert isinstance(results, bn.JudgedResults)
    assert results.lanes.height == 32
    assert "in plain Flax" in capsys.readouterr().out
    assert len(cells) <= 8
    assert max(len(cell.splitlines()) for cell in cells) <= 30


def test_the_tour_shows_what_it_is_kept_with() -> None:
    cells = json.loads(TOUR.read_text())["cells"]
    shown = [output for cell in cells for output in cell.get("outputs", ())]
    pages = ["".join(output.get("data", {}).get("text/html", "")) for output in shown]
    for what in ("1 compiled program, 1 hypothesis", "32/32 lanes", "adjusted p", "data:image/png;base64,"):
        assert any(what in page for page in pages), what
    assert not any(output["output_type"] == "error" for output in shown)
    assert not [cell for cell in cells if cell["cell_type"] == "code" and not cell["execution_count"]]
