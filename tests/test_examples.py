"""What examples/ holds runs, on fewer steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert files
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > 40} == {}


@pytest.mark.slow  # writes a report with its figures
def test_own_data(tmp_path: Path) -> None:
    done = loaded("own_data").main(tmp_path, steps=4)
    assert (done.lanes.height, done.manifest["data"]["name"]) == (36, "breast_cancer")
    assert (done.path / "report.html").is_file()
    assert done.lanes["final_test_accuracy"].is_not_null().all()
