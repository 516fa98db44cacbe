"""A tiny study whose seeds go on until it is decided, trained for real: in one go, and killed between its looks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.analysis import cell_table
from bn_ablate.cli.main import main
from bn_ablate.results import verify
from bn_ablate.runs.looking import LookTaken
from tests.cli.command_line import SMALL

STUDY = f"""
name = "looks"
seeds = {{ first = 6, most = 12, until = "decided" }}
{SMALL}
[axes]
learning_rate = [0.001, 0.1]

[[hypotheses]]
id = "faster"
kind = "contrast"
statement = "A hundred times the rate trains faster"
metric = "final_train_loss"
alternative = "less"
a = {{ learning_rate = 0.1 }}
b = {{ learning_rate = 0.001 }}

[[hypotheses]]
id = "undecided"
kind = "contrast"
statement = "It ends lower by more than .6 nats, which is about what it is lower by"
metric = "final_train_loss"
alternative = "less"
margin = 0.6
a = {{ learning_rate = 0.1 }}
b = {{ learning_rate = 0.001 }}
"""
TABLES = ("lanes", "history", "layers", "histograms")


class KilledError(Exception):
    """What ends a run between two looks."""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("study") / "looks.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="module")
def taken() -> list[LookTaken]:
    return []


@pytest.fixture(scope="module")
def whole(config: Path, taken: list[LookTaken]) -> Path:
    results = config.parent / "whole"
    bn.run(bn.load_study(config), results, on_look=taken.append, progress=False)
    return results / "looks"


def test_a_second_look_is_taken_at_what_the_first_left_open(whole: Path, taken: list[LookTaken]) -> None:
    results = bn.open_results(whole)
    assert [(look.number, look.lanes) for look in taken] == [(1, 2 * 6), (2, 0)]
    assert set(taken[0].verdicts.values()) == {None}  # 2 × 2/2⁶ over a half of the error is too much
    assert results.manifest["status"] == "complete"
    assert results.manifest["looks"] == {"planned": [6, 12], "look": 2, "cells": {"12": 2}}
    assert results.manifest["lanes"] == {"planned": 24, "finished": 24, "diverged": 0}
    assert results.manifest["timing"]["lane_steps"] == 24 * 4
    assert results.seeds_per_cell == "12"
    assert verify(whole) == []


def test_one_is_decided_at_the_second_look_and_the_other_is_not(whole: Path) -> None:
    faster, undecided = bn.open_results(whole).claims
    assert (faster["verdict"], faster["stopped"], faster["look"], faster["n_seeds"]) == ("supported", "decided", 2, 12)
    assert (undecided["verdict"], undecided["stopped"]) == ("inconclusive", "most")


@pytest.mark.usefixtures("draw_little")
def test_killed_between_looks_and_resumed_by_the_command_line_it_gives_the_same_bytes(
    config: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = config.parent / "killed"

    def kill(look: LookTaken) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        bn.run(bn.load_study(config), killed, on_look=kill, progress=False)
    between = bn.open_results(killed / "looks")
    assert between.manifest["status"] == "between looks"
    assert any("`bn-ablate run` resumes it" in caveat for caveat in between.caveats)
    assert [(record["look"], record["stopped"]) for record in between.claims] == [(1, None)] * 2
    main(["run", str(config), "--results", str(killed), "--wandb", "disabled", "--device", "cpu"])
    out = capsys.readouterr().out
    said = [line for line in out.splitlines() if line.startswith("look ")]
    assert said[2:] == [
        "look 1 of 2, at 6 seeds: 0 of 2 hypotheses decided; open: faster, undecided; 12 lanes more for look 2, at 12 "
        "seeds",
        "look 2 of 2, at 12 seeds: 1 of 2 hypotheses decided; 1 not, with all the seeds there are",
    ]
    assert "looks at 6, 12 seeds: at least 12 lanes" in out
    assert "mean ± SD over 12 seeds" in out
    for table in TABLES:
        assert (killed / "looks" / f"{table}.parquet").read_bytes() == (whole / f"{table}.parquet").read_bytes()
    claims = json.loads((killed / "looks" / "claims.json").read_text())["hypotheses"]
    assert claims == bn.open_results(whole).claims
    report = (killed / "looks" / "report.html").read_text()
    assert "2 of 2, at 12 seeds: decided; 0.05 of the error of 0.05 spent" in report
    assert "12, until decided, with looks at 6, 12" in report
    before = (killed / "looks" / "manifest.json").read_bytes()
    bn.run(bn.load_study(config), killed, progress=False)  # nothing is left to do
    assert (killed / "looks" / "manifest.json").read_bytes() == before


def test_parts_are_refused_with_what_to_do_instead(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(config), "--part", "1/2", "--results", str(config.parent / "parts")]) == 2
    assert "--set seeds=6, `bn-ablate merge` its parts" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_merged_first_look_is_gone_on_from_with_the_cells_that_are_needed(config: Path, whole: Path) -> None:
    results, three = config.parent / "merged", "axes.learning_rate=[0.001, 0.1, 0.11]"
    first = bn.load_study(config, [three, "seeds=6"])
    parts = [bn.run(first, results, part=(number, 2), progress=False).path for number in (1, 2)]
    bn.merge(parts, results / "looks")
    done = bn.run(bn.load_study(config, [three]), results, progress=False)
    assert done.manifest["timing"]["lane_steps"] == 12 * 4
    seeds = done.lanes.group_by("learning_rate", maintain_order=True).len().rows()
    assert seeds == [(0.001, 12), (0.1, 12), (0.11, 6)]
    assert done.manifest["looks"] == {"planned": [6, 12], "look": 2, "cells": {"6": 1, "12": 2}}
    assert done.manifest["lanes"] == {"planned": 30, "finished": 30, "diverged": 0}
    assert done.seeds_per_cell == "6 to 12"
    assert done.claims == bn.open_results(whole).claims
    assert cell_table(done)["n"].to_list() == [12, 12, 6]
    assert verify(done.path) == []
