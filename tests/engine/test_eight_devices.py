"""Studies on eight devices, which their lanes do not divide evenly, and on one: in processes of their own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bn_ablate.results import open_results
from tests.cli.command_line import SMALL, command

STUDY = """
name = "{name}"
seeds = {seeds}
{small}
[norm]
placement = "pre"

[axes]
learning_rate = {rates}
"""
STUDIES = {"over_seeds": (11, [0.01, 0.1]), "over_cells": (3, [0.01, 0.02, 0.05, 0.1, 0.2])}
"""By name, so many seeds and these learning rates: 11 seeds, or 5 cells, on 8 devices."""

TRAIN = """
import sys
import bn_ablate as bn
from bn_ablate import engine

devices, results, *configs = sys.argv[1:]
engine.set_up("cpu", host_devices=int(devices))
for config in configs:
    bn.run(bn.load_study(config), results, progress=False)
"""


@pytest.mark.slow
def test_lanes_that_do_not_divide_evenly_over_eight_devices_are_those_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")  # compiled as for users: hastily, bits depend on how lanes lie on devices
    configs = [tmp_path / f"{name}.toml" for name in STUDIES]
    for config, (seeds, rates) in zip(configs, STUDIES.values(), strict=True):
        config.write_text(STUDY.format(name=config.stem, seeds=seeds, rates=rates, small=SMALL))
    for devices in (8, 1):
        done = subprocess.run(
            **command("-c", TRAIN, devices, tmp_path / str(devices), *configs), check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr
    for name in STUDIES:
        eight, one = (tmp_path / devices / name for devices in "81")
        assert open_results(eight).manifest["device"]["count"] == 8
        for table in ("lanes", "history", "layers", "histograms"):
            assert (eight / f"{table}.parquet").read_bytes() == (one / f"{table}.parquet").read_bytes()
