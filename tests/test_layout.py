"""What a study is laid out for is decided once, and holds for whoever resumes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bn_ablate import engine
from bn_ablate.plan.memory import Machine
from bn_ablate.results import ResultsError, open_results
from bn_ablate.runs.layout import Asked, Layout, settle

GIB = 2**30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results that were begun on 8 devices of this platform, for 2 GiB, two lanes at a time."""
    keep(tmp_path, Layout(Machine("map", 8, 2 * GIB, 2, engine.machine().platform)).described)
    return tmp_path


def settled(folder: Path, *asked: Any) -> Machine:
    return settle(Layout.of(folder), Asked(*asked)).machine


def keep(folder: Path, layout: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "layout": layout}))


def test_a_layout_is_kept_unless_something_else_is_asked_for(folder: Path) -> None:
    stored = Machine("map", 8, 2 * GIB, 2, engine.machine().platform)
    assert settled(folder) == stored
    assert settled(folder, "map", 2, 2 * GIB) == stored
    for asked in (("vmap", None, None), ("auto", 1, None), ("auto", None, GIB)):
        assert settled(folder, *asked) == engine.machine(*asked)
    assert settled(folder / "new") == engine.machine()


@pytest.mark.parametrize("changed", [{"platform": "abacus"}, {"budget": 2**60}])
def test_a_layout_of_another_kind_of_machine_or_a_larger_one_is_not(folder: Path, changed: dict[str, Any]) -> None:
    said = json.loads((folder / "manifest.json").read_text())["layout"]
    keep(folder, said | changed)
    assert settled(folder) == engine.machine()


def test_a_layout_that_is_none_is_refused_where_results_are_read_and_decided_anew_in_a_run(folder: Path) -> None:
    keep(folder, {"strategy": "abacus"})
    with pytest.raises(ResultsError, match=r"manifest.json: is not a manifest .*: layout.strategy: "):
        open_results(folder)
    assert settled(folder) == engine.machine()
