"""What the command line is given: plans are shown, mistakes are named, and the exit status says whose they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.command_line import ROOT, TINY, Bn, command

HEAVY = {"jax", "flax", "tensorflow_datasets", "matplotlib", "wandb", "scipy.stats"}
JUDGING = {"scipy", "polars"}
"""What judges hypotheses, and so says of those of a plan whether they can be decided."""


def test_the_plan_runs_nothing_and_needs_no_jax(tmp_path: Path) -> None:
    """Without hypotheses, then with them."""
    code = "; ".join(
        f"c.main(['plan', *sys.argv[1:], *{words}]); print(*sys.modules, file=sys.stderr); print('END')"
        for words in (["--set", "hypotheses=[]"], [])
    )
    start = command("-c", f"import sys, bn_ablate.cli.main as c; {code}", ROOT / "configs" / "ablate.toml")
    done = subprocess.run(**start, capture_output=True, check=True, timeout=60, cwd=tmp_path)
    for asks, modules, shown in zip((False, True), done.stderr.splitlines(), done.stdout.split("END"), strict=False):
        loaded = set(modules.split())
        assert "bn_ablate.plan" in loaded
        assert not loaded & (HEAVY if asks else HEAVY | JUDGING)
        assert ("10 seeds can decide each of the 17 hypotheses" in shown) == asks
        assert "72 cells × 10 seeds = 720 lanes" in shown
        assert "1 compiled program;" in shown
    assert list(tmp_path.iterdir()) == []


def test_the_help_loads_no_more_than_the_command_line(tmp_path: Path) -> None:
    code = "import sys; from bn_ablate.cli.main import app; print(*sys.modules)"
    done = subprocess.run(**command("-c", code), capture_output=True, check=True, timeout=60, cwd=tmp_path)
    loaded = set(done.stdout.split())
    assert "bn_ablate.cli.results_commands" in loaded
    assert not loaded & {"bn_ablate.config", "pydantic", "numpy", "rich.console"}


def test_overrides_reach_the_plan(bn: Bn, config: Path) -> None:
    done = bn("plan", config, "--set", "seeds=[3, 4, 9]", "--set", "axes.width=[8, 16]", "--set", "title=another")
    assert done.status == 0
    assert "tiny  another" in done.out
    assert "4 cells × 3 seeds = 12 lanes, 4 steps each; 2 compiled programs" in done.out


def test_a_bad_study_ends_with_2_and_every_problem(bn: Bn, config: Path, tmp_path: Path) -> None:
    config.write_text(TINY + "[trian]\n")
    for name in ("plan", "run"):
        done = bn(name, config, "--set", "train.steps=many")
        assert (done.status, done.out) == (2, "")
        told = done.err.splitlines()
        assert told[0] == f"bn-ablate: {config}: 2 problems"
        assert told[1].startswith("  train.steps: is 'many'")
        assert re.search(r"did you mean 'train'\? \(line \d+\)$", told[2])
    assert list(tmp_path.iterdir()) == [config]


def test_a_missing_study_ends_with_2(bn: Bn, config: Path) -> None:
    done = bn("plan", config.with_name("tyni.toml"))
    assert done.status == 2
    assert done.err.endswith("there is no such file; did you mean 'tiny.toml'?\n")


def test_a_combination_that_cannot_be_ends_with_2(bn: Bn, config: Path) -> None:
    done = bn("plan", config, "--set", "norm.coverage=only_1")
    assert done.status == 2
    assert "norm.coverage: coverage = 'only_1' names block 1, but depth = 1 has blocks 0 to 0" in done.err


@pytest.mark.parametrize(
    ("args", "telling"),
    [
        ([], "plan"),
        (["paln"], "plan"),
        (["run"], "CONFIG"),
        (["run", "x.toml", "--wandb", "onlin"], "onlin"),
        (["plan", "x.toml", "--sett", "a=1"], "--set"),
        (["run", "x.toml", "--memory", "much"], "--memory"),
        (["run", "x.toml", "--memory", "-1"], "--memory: -1.0 is no number of GiB above 0"),
        (["run", "x.toml", "--memory", "nan"], "--memory: nan is no number of GiB above 0"),
        (["verify"], "DIR"),
    ],
)
def test_a_wrong_command_line_ends_with_2(bn: Bn, args: list[str], telling: str) -> None:
    done = bn(*args)
    assert done.status == 2
    assert telling in done.err


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["verify", "--help"]])
def test_help_ends_with_0(bn: Bn, args: list[str]) -> None:
    done = bn(*args)
    assert done.status == 0
    assert "usage: bn-ablate" in done.out


def test_an_unknown_data_set_ends_with_2_and_leaves_nothing(bn: Bn, config: Path, tmp_path: Path) -> None:
    done = bn("run", config, "--results", tmp_path / "results", "--set", "data.name=digts", "--wandb", "disabled")
    assert done.status == 2
    assert "tiny: 1 problem\n  data.name: no data set is called 'digts'; did you mean 'digits'?" in done.err
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("asked", ["data.n_train=5000", "axes.n_train=[100, 5000]"])
def test_more_examples_than_there_are_end_with_2_and_leave_nothing(
    bn: Bn, config: Path, tmp_path: Path, asked: str
) -> None:
    done = bn("run", config, "--results", tmp_path / "results", "--set", asked, "--wandb", "disabled")
    assert done.status == 2
    assert "tiny: 1 problem\n  data: digits has 1797 examples, but data.n_train = 5000" in done.err
    assert list(tmp_path.iterdir()) == [config]


@pytest.mark.parametrize("command", ["report", "sync", "verify"])
def test_a_folder_that_holds_no_results_ends_with_1(bn: Bn, tmp_path: Path, command: str) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = bn(command, folder)
        assert (done.status, done.err) == (
            1,
            f"bn-ablate: {folder}: is not a results folder: it has no manifest.json\n",
        )
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_folder_ends_with_1(bn: Bn, config: Path) -> None:
    done = bn("run", config, "--results", config, "--wandb", "disabled")
    assert done.status == 1
    assert re.search(r"tiny\.toml/tiny: cannot be written to: .*; choose another folder with --results\n$", done.err)


def test_a_defect_is_no_users_mistake(bn: Bn, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("bn_ablate.plan.make_plan", broken)
    with pytest.raises(ZeroDivisionError):
        bn("plan", config)


def test_the_known_data_sets_are_listed(bn: Bn) -> None:
    done = bn("data")
    assert done.status == 0
    assert {"digits", "mnist", "cifar10"} <= set(done.out.split())


def test_a_data_set_is_prepared(bn: Bn) -> None:
    done = bn("data", "digits")
    assert done.status == 0
    assert re.fullmatch(r"digits: prepared in .*digits/1\.0\.0\n", done.out)


def test_paths_that_are_no_text_are_printed_and_used(original: Path, tmp_path: Path) -> None:
    """A terminal of UTF-8, and a folder and a file whose names are none."""
    folder, study = tmp_path / "caf\udce9", tmp_path / "tin\udcff.toml"
    folder.mkdir()
    study.write_text(TINY.partition("[[hypotheses]]")[0])  # to judge takes longer than to plan
    sweep, results = tmp_path / "sweep.yaml", folder / "tiny"
    shutil.copytree(original / "results" / "tiny", results)
    every = {
        ("verify", results): r"caf\udce9/tiny: complete",
        ("plan", study): "4 lanes",
        ("sweep-config", study): r"tin\udcff.toml",
        ("sweep-config", study, "--output", sweep): "wandb sweep",
        ("verify", folder): r"caf\udce9: is not a results folder",
    }
    code = "import sys; from bn_ablate.cli.main import main; [main(each.split('\\n')) for each in sys.argv[1:]]"
    start = command("-c", code, *("\n".join(map(str, words)) for words in every))
    start["env"] |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(**start, capture_output=True, check=True, timeout=60)
    for telling in every.values():
        assert telling in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert b"tin\xff.toml" in sweep.read_bytes()


@pytest.mark.parametrize("name", ["x" * 300, "/proc/x", "/dev/null"])
@pytest.mark.parametrize("flag", ["--results", "--output"])
def test_a_place_that_the_system_refuses_ends_with_1(bn: Bn, config: Path, results: Path, flag: str, name: str) -> None:
    words = ("run", config, "--wandb", "disabled") if flag == "--results" else ("sweep-config", config)
    done = bn(*words, flag, f"{name}/y")
    assert done.status == 1
    assert name in done.err


@pytest.mark.slow
def test_a_device_that_is_not_there_ends_with_1(config: Path, tmp_path: Path) -> None:
    start = command("-m", "bn_ablate.cli", "run", config, "--results", tmp_path / "results", "--device", "tpu")
    done = subprocess.run(**start, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("bn-ablate: device 'tpu' is not available here")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [config]
