"""What the docstrings of the public names show is what comes of it."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import bn_ablate as bn
from bn_ablate.config.registry import REGISTRIES, Origin, loading
from tests.cli.command_line import TINY
from tests.synthetic import write_results

PUBLIC = {name: getattr(bn, name) for name in bn.__all__}
CASES = [test for name, value in PUBLIC.items() for test in doctest.DocTestFinder().find(value, name) if test.examples]
ABLATE: dict[str, Any] = {
    "name": "ablate",
    "seeds": 6,
    "axes": {"placement": ["none", "pre"]},
    "hypotheses": [
        {
            "id": "pre-wins",
            "kind": "contrast",
            "statement": "BN before the activation generalizes better than no BN",
            "metric": "final_test_accuracy",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
            "alternative": "greater",
        }
    ],
}


def test_what_a_script_begins_with_has_an_example() -> None:
    shown = {case.name.split(".")[0] for case in CASES}
    decorators = {name for name, value in PUBLIC.items() if inspect.isfunction(value) and name in REGISTRIES}
    assert {"build_study", "load_study", "make_plan", "run", "ConfigError", "JudgedResults", "Dataset"} <= shown
    assert {"activation", "network", "normalizer"} <= decorators <= shown | {"figure"}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow) if case.name == "run" else case for case in CASES],  # it trains
    ids=lambda case: case.name,
)
def test_an_example_gives_what_it_shows(case: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a study of one's own and the results of another one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(TINY, encoding="utf-8")
    if "results/ablate" in case.docstring:
        write_results(tmp_path / "results" / "ablate", ABLATE)
    case.globs = {"bn": bn, "__name__": __name__}
    origin = Origin(case.name, "0" * 64)
    said: list[str] = []
    try:
        with loading(origin):
            outcome = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(case, out=said.append)
    finally:
        for registry in REGISTRIES.values():
            registry.remove(origin)
    assert outcome.failed == 0, "".join(said)
