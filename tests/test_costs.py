"""What networks cost: parameters and operations by hand, and times of all structures by turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.cli.console import make_console
from bn_ablate.cli.machine_commands import show_costs
from bn_ablate.config import LaneSettings
from bn_ablate.engine import cost
from bn_ablate.engine.cost import Operations, operations
from bn_ablate.engine.program import program_of
from bn_ablate.nn import lane_factors
from bn_ablate.plan import Cell
from bn_ablate.runs.costs import costs_of, parameters, table_of
from tests.cli.command_line import SMALL

IMAGE, CLASSES = (4, 4, 2), 3
STUDY = f"""
name = "costs"
seeds = 2
{SMALL}[norm]
placement = "none"
[axes]
learning_rate = [0.01, 0.1]
"""


def settings(**sections: dict[str, Any]) -> LaneSettings:
    return bn.make_plan(bn.build_study({"name": "one", **sections})).cells[0].settings


@pytest.mark.parametrize(
    ("norm", "beside"),
    [
        ({"placement": "none"}, 6),
        ({"placement": "pre"}, 12),
        ({"placement": "post"}, 6 + 12),
        ({"placement": "pre", "kind": "layer", "affine": "scale"}, 6 + 6),
        ({"placement": "pre", "coverage": "only_1"}, 3 + 6),
        ({"placement": "pre", "coverage": "input"}, 6 + 2 * 32),
    ],
)
def test_parameters_are_counted_where_they_act(norm: dict[str, Any], beside: int) -> None:
    """Of 32 inputs, 3 units, 3 units, 3 classes: 32·3 + 3·3 + 3·3 + 3, and what each block has beside its kernel."""
    lane = settings(model={"depth": 2, "width": 3, "activation": "tanh"}, norm=norm)
    assert parameters(lane, lane.model.layout(IMAGE, CLASSES)) == 117 + beside


def test_operations_are_those_of_the_products_and_little_more() -> None:
    """Forward and backward of each product, but for the gradient of the images; elementwise work is the rest."""
    of_mlp = {"depth": 2, "width": 256, "activation": "relu"}
    plain, normed = (
        settings(model=of_mlp, norm={"placement": placement}, train={"batch_size": 8, "momentum": 0.0})
        for placement in ("none", "pre")
    )
    by_hand = 2 * (32 * 256 + 256 * 256 + 256 * CLASSES)
    step = 3 * by_hand - 2 * 32 * 256
    counted = [counted_for(lane) for lane in (plain, normed)]
    assert by_hand < counted[0].evaluation < 1.03 * by_hand
    updated = 2 * parameters(plain, plain.model.layout(IMAGE, CLASSES)) / 8
    assert step + updated < counted[0].step < 1.04 * (step + updated)
    of_bn = counted[1].step - counted[0].step
    assert 2 * 256 * 10 < of_bn < 2 * 256 * 60  # some tens for each value that two blocks normalize


def test_operations_of_a_convolution_are_counted_as_one_whatever_computes_it() -> None:
    """Windows of 3 × 3 on 4 × 4 pixels see 10 × 10 of their 12 × 12 places; the others are zeros around the image."""
    lane = settings(model={"architecture": "cnn", "depth": 2, "width": 64}, norm={"placement": "none"})
    layout = lane.model.layout(IMAGE, CLASSES)
    convolution, dense = layout.layers
    assert (convolution.kernel, convolution.output) == (9 * 2 * 64, (4, 4, 64))
    by_hand = 2 * 10 * 10 * 2 * 64 + 2 * dense.kernel + 2 * (layout.head - CLASSES)
    assert by_hand < counted_for(lane).evaluation < 1.03 * by_hand


def counted_for(lane: LaneSettings) -> Operations:
    program = program_of([lane], IMAGE, CLASSES)
    return operations(program, lane_factors(lane, program.structure))


class Steady:
    """Stands for a lane that is timed: each repeat of a network takes as long as its widths and repeats say."""

    turns: ClassVar[list[str]] = []

    def __init__(self, engine: Any, cell: Cell, seed: int) -> None:
        self.operations, self.examples, self.repeat = Operations(3.0, 1.0), 260, 0
        self.name = f"{cell.settings.norm.placement} {cell.settings.model.width}"
        self.seconds = {"none 8": [1.0, 2.0, 4.0], "none 16": [2.0, 2.0, 2.0], "pre 8": [3.0, 4.0, 4.0]}.get(self.name)
        self.seconds = self.seconds or [5.0, 3.0, 4.0]

    def warm_up(self) -> None:
        self.turns.append(f"{self.name} is ready")

    def step_seconds(self) -> float:
        self.turns.append(self.name)
        return self.seconds[self.repeat]

    def evaluation_seconds(self) -> float:
        self.repeat += 1
        return self.seconds[self.repeat - 1] / 2


def test_structures_are_timed_by_turns_and_each_is_held_to_no_normalization(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cost, "Alone", Steady)
    axes = {"placement": ["pre", "none"], "width": [8, 16], "learning_rate": [0.01, 0.1], "dropout_rate": [0.2, 0.5]}
    plan = bn.make_plan(bn.build_study({"name": "costs", "axes": axes, "train": {"steps": 4}}))
    table = table_of(costs_of(plan, repeats=3))
    networks = ["pre 8", "pre 16", "none 8", "none 16"]
    assert Steady.turns == [*(f"{name} is ready" for name in networks), *networks * 3]
    # all rates cost the same; a step with BN took 3, 2 and 1 times as long as one without, by turns
    assert table.columns[:3] == ["placement", "width", "parameters"]
    assert [" ".join(row) for row in table.select("placement", "width").rows()] == networks
    assert table["step_seconds"].to_list() == [4.0, 4.0, 2.0, 2.0]
    assert table["step_ratio"].to_list() == [2.0, 2.0, 1.0, 1.0]
    assert table["evaluation_seconds_q25"].to_list() == [1.75, 1.75, 0.75, 1.0]
    show_costs(make_console(), table)
    said = "between repeats the times of a network differ by 75% (from quartile to quartile): the machine is busy"
    assert said in capsys.readouterr().out
    Steady.turns.clear()
    alone = bn.make_plan(bn.build_study({"name": "costs", "norm": {"placement": "pre"}, "model": {"width": 8}}))
    (row,) = table_of(costs_of(alone, repeats=3)).rows(named=True)
    assert (row["step_ratio"], Steady.turns[:2]) == (2.0, ["pre 8 is ready", "none 8 is ready"])


def test_a_network_is_timed_by_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    monkeypatch.setattr(cost, "SECONDS", 1e-3)
    study, file = tmp_path / "study.toml", tmp_path / "costs.parquet"
    study.write_text(STUDY)
    assert cli.main(["cost", str(study), "--repeats", "3", "--output", str(file)]) == 0
    shown = capsys.readouterr().out
    (row,) = pl.read_parquet(file).rows(named=True)
    assert row["parameters"] == 64 * 8 + 8 + 8 * 10 + 10
    assert (row["repeats"], row["batch_size"], row["evaluated_examples"]) == (3, 16, 260)
    assert (row["step_ratio"], row["evaluation_ratio"]) == (1.0, 1.0)
    assert 0 < row["step_seconds_q25"] <= row["step_seconds"] <= row["step_seconds_q75"] < 1
    assert 0 < row["evaluation_seconds"] < 1
    assert shown.splitlines()[1].split()[0] == "610"
    assert f"{file}: 1 row\n" in shown
    assert sorted(tmp_path.iterdir()) == [file, study]
