"""`bn-ablate run --part` and `merge`: the parts of a study, trained apart, make the bytes of one run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bn_ablate.results import open_results, verify
from tests.cli.command_line import Bn, command, run

TABLES = ("lanes.parquet", "history.parquet", "layers.parquet", "histograms.parquet")


def check_the_same(made: Path, one: Path) -> None:
    for name in TABLES:
        assert (made / name).read_bytes() == (one / name).read_bytes()
    assert verify(made) == []


@pytest.mark.usefixtures("as_users_begin")
def test_parts_put_together_are_one_run(bn: Bn, config: Path, tmp_path: Path) -> None:
    run(bn, config, tmp_path)
    folder = tmp_path / "shared"
    for part in ("1/2", "2/2"):
        done = bn("run", config, "--results", folder, "--part", part, "--memory", 1)
        assert done.status == 0
        assert f"part {part} of 4 lanes, into {folder}/tiny.part-{part[0]}-of-2\n" in done.out
        assert f"when all 2 are: bn-ablate merge {folder}/tiny.part-*-of-2 --into {folder}/tiny\n" in done.out
    parts = [folder / f"tiny.part-{number}-of-2" for number in (1, 2)]
    assert {open_results(part).manifest["layout"]["budget"] for part in parts} == {2**30}
    assert "nothing to train" in bn("run", config, "--results", folder, "--part", "2/2").out
    assert bn("merge", *parts, "--into", folder / "tiny").status == 0
    check_the_same(folder / "tiny", tmp_path / "tiny")
    assert "every lane was trained before" in run(bn, config, folder)


def test_a_part_goes_with_neither_only_nor_wandb(bn: Bn, config: Path, tmp_path: Path) -> None:
    for also in (("--only", "seed=0"), ("--wandb", "offline")):
        done = bn("run", config, "--results", tmp_path, "--part", "1/2", *also)
        assert (done.status, done.out) == (2, "")
        assert "--part does not go with" in done.err


@pytest.mark.slow
def test_three_processes_at_once_and_a_merge_make_the_bytes_of_one_run(
    bn: Bn, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")  # compiled as for users: hastily, bits depend on how lanes lie on devices
    args = ("-m", "bn_ablate.cli", "run", config, "--set", "seeds=4", "--set", "axes.placement=['none','pre']")
    alone = ("--results", tmp_path / "one", "--wandb", "disabled")
    apart = [("--results", tmp_path, "--part", f"{i}/3") for i in (1, 2, 3)]
    started = [subprocess.Popen(**command(*args, *also), stdout=subprocess.DEVNULL) for also in (alone, *apart)]
    assert [process.wait(timeout=300) for process in started] == [0, 0, 0, 0]
    assert bn("merge", *tmp_path.glob("tiny.part-*-of-3"), "--into", tmp_path / "tiny").status == 0
    check_the_same(tmp_path / "tiny", tmp_path / "one" / "tiny")
