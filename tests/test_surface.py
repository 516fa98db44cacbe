"""What a notebook and a terminal show of the package before anything is trained: names, short texts, the version."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bn_ablate as bn
from bn_ablate.cli.main import COMMANDS, main
from bn_ablate.data import load


def test_the_names_offered_are_the_public_ones_and_each_is_there() -> None:
    offered = subprocess.run(
        [sys.executable, "-c", "import bn_ablate; print(*dir(bn_ablate))"], capture_output=True, text=True, check=True
    )
    assert offered.stdout.split() == sorted(bn.__all__)
    assert all(hasattr(bn, name) for name in bn.__all__)


def test_what_is_shown_of_a_plan_a_cell_and_a_data_set_fits_on_a_line() -> None:
    plan = bn.make_plan(bn.build_study({"name": "tiny", "axes": {"placement": ["none", "pre"]}, "seeds": 3}))
    assert repr(plan) == "Plan(tiny: 2 cells, 3 seeds, 6 lanes, 1 programs)"
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
