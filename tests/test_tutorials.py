"""What the pages show runs: their commands are ours, and those of tutorials are run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.cli.main import COMMANDS, main
from bn_ablate.config.factors import FACTORS
from tests.test_docs_site import PAGES, ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"(?:^(?:    (?:\$ )?)?(?:\S*/)?|`)bn-ablate ([a-z].*?)(?:`|\s#.*|$)", re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Its blocks of code: language, the file that one is to be written to, text."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@cache
def options(command: str) -> frozenset[str]:
    """The options that the command says it has."""
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr(sys.stdout, "write", said.append)
        patch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit):
            main([*command.split(), "--help"])
    return frozenset(re.findall(r"--[\w-]+", "".join(said)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_command_that_a_page_shows_has_these_options(page: Path) -> None:
    for said in SHOWN.findall(page.read_text(encoding="utf-8")):
        words = said.split()
        command = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
        given = set(re.findall(r"(?<=\s)--[\w-]+", said)) - {
            f"--{axis}" for axis in FACTORS
        }  # as W&B's agents write them
        assert given <= options(command), said


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_studies_of_a_tutorial_are_studies(page: Path, tmp_path: Path) -> None:
    written = [(name, text) for _, name, text in blocks(page) if name]
    for name, text in written:
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in (name for name, _ in written if name.endswith(".toml")):
        study = bn.load_study(tmp_path / name)
        assert study.hypotheses
        assert f"bn-ablate run {name}" in page.read_text(encoding="utf-8")
    assert "```bash\n" in page.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    """Its files are written and its commands run in their order, in a folder that has nothing else."""
    place = tmp_path / "bin"
    place.mkdir()
    for name, words in [("bn-ablate", "-m bn_ablate.cli"), ("python", "")]:
        (place / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        (place / name).chmod(0o755)
    here = tmp_path / "here"
    (here / ".venv" / "bin").mkdir(parents=True)
    (here / ".venv" / "bin" / "activate").touch()
    path = os.pathsep.join([str(place), os.environ["PATH"]])
    python = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    quiet = os.environ | {
        "PATH": path,
        "PYTHONPATH": python,
        "WANDB_MODE": "disabled",
        "XLA_FLAGS": "",
    }  # where --wandb says nothing
    for language, name, text in blocks(page):
        if name:
            (here / name).write_text(text, encoding="utf-8")
        elif language == "bash":
            command = ["bash", "-euo", "pipefail", "-c", text]
            done = subprocess.run(command, cwd=here, env=quiet, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    reports = sorted((here / "results").glob("*/report.html"))
    assert reports
    assert all("</html>" in report.read_text(encoding="utf-8") for report in reports)
