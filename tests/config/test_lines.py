"""An error in a study file names the line where its key stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from bn_ablate.config import ConfigError, load_study
from bn_ablate.config.lines import lines_of

STUDY = '''name = "x"
description = """
seeds = 1
[train]
"""
seeds = 3

[train]
stepz = 3          # line 9
"batch_size" = 64

[axes]
placement = [
    "none",
    "pree",
]
dropout_rate = [0.0, 1.5]

[[hypotheses]]
id = "a"  # ours
kind = "contrast"
statement = "s"
metric = "gap"
a = { placement = "pre" }
b = { placement = "nope" }

[[hypotheses]]
kind = "contrast"
id = 'b'
'''


def test_lines_are_those_of_the_keys() -> None:
    lines = lines_of(STUDY)
    assert lines["seeds"] == 6
    assert (lines["train"], lines["train.stepz"], lines["train.batch_size"]) == (8, 9, 10)
    assert (lines["hypotheses"], lines["hypotheses.a"], lines["hypotheses[1]"], lines["hypotheses.b"]) == (
        19,
        19,
        27,
        27,
    )
    assert lines["hypotheses.a.b"] == lines["hypotheses[0].b"] == 25
    assert lines["hypotheses.b.kind"] == lines["hypotheses[1].kind"] == 28


def problems(tmp_path: Path, text: str, *overrides: str) -> dict[str, str]:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_study(file, overrides)
    return {problem.key: problem.message for problem in raised.value.problems}


def test_every_problem_says_its_line(tmp_path: Path) -> None:
    found = problems(tmp_path, STUDY)
    assert found["train.stepz"].endswith("did you mean 'steps'? (line 9)")
    assert found["hypotheses[1].statement"].endswith("(line 27)")  # of the table that lacks it
    found = problems(tmp_path, STUDY.split("[[hypotheses]]", maxsplit=1)[0].replace("stepz", "steps"))
    assert found["axes.placement[1]"].endswith("(line 13)")
    assert found["axes.dropout_rate[1]"].endswith("(line 17)")


def test_what_an_override_says_has_no_line(tmp_path: Path) -> None:
    text = "name = 'x'\n[train]\nsteps = 3\nbatch_size = 0\n"
    found = problems(tmp_path, text, "train.steps=-1")
    assert found["train.batch_size"].endswith("(line 4)")
    assert "line" not in found["train.steps"]
