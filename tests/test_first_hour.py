"""What a newcomer has after an installation: the studies that come with the package, and a first one of one's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.cli.main import main
from bn_ablate.config.shipped import shipped

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_study_of_configs_comes_with_the_package_under_a_name_of_its_own() -> None:
    files = sorted((ROOT / "configs").rglob("*.toml"))
    assert sorted(shipped()) == sorted(file.stem for file in files)
    assert next(iter(shipped())) == "ablate"
    assert {file.resolve() for file in shipped().values()} == set(files)


def test_a_study_is_found_by_its_name_unless_a_file_has_it(tmp_path: Path) -> None:
    assert bn.load_study("smoke", ["seeds=2"]) == bn.load_study(ROOT / "configs" / "smoke.toml", ["seeds=2"])
    (tmp_path / "smoke").write_text('name = "mine"')
    assert bn.load_study("smoke").name == "mine"
    for wrong, said in [
        ("smok", r"no study of that name comes with bn_ablate \(`bn-ablate configs` lists .*did you mean 'smoke'\?"),
        ("configs/smoke.toml", r"there is no such file; did you mean 'smoke'\?"),
    ]:
        with pytest.raises(bn.ConfigError, match=said):
            bn.load_study(wrong)


def test_configs_lists_every_study_with_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"^{name} +\S", said, flags=re.MULTILINE) for name in shipped())
    assert "The whole way in seconds" in said


def test_init_writes_a_study_that_can_be_decided_and_overwrites_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "my first.toml"]) == 0
    said = capsys.readouterr().out
    assert "bn-ablate run 'my first.toml'" in said
    study = bn.load_study("my first.toml")
    assert study.name == "my_first"
    assert f" {bn.make_plan(study).n_lanes} small networks" in said
    assert main(["plan", "my first.toml", "--device", "cpu"]) == 0
    assert "8 seeds can decide bn-helps, bn-wants-less-dropout" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["init", "my first.toml"])
    assert ended.value.code == 2
    assert "my first.toml is there already" in capsys.readouterr().err


@pytest.mark.slow  # builds a wheel, makes an environment and trains in it
def test_a_wheel_in_an_environment_of_its_own_has_all_of_it(tmp_path: Path) -> None:
    source, environment = tmp_path / "source", tmp_path / "environment"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in ("bn_ablate", "configs"):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    packages = next((environment / "lib").glob("python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))  # what it depends on
    quiet = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}
    quiet |= {"PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def call(*words: object) -> str:
        command = [str(word) for word in words]
        done = subprocess.run(command, cwd=tmp_path, env=quiet, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    assert str(packages) in call(python, "-c", "import bn_ablate; print(bn_ablate.__file__)")
    listed = call("bn-ablate", "configs")
    assert all(name in listed for name in shipped())
    assert "garbin_cnn" in call("bn-ablate", "plan", "garbin_cnn", "--set", "data.name=digits", "--device", "cpu")
    next_commands = re.findall(r"bn-ablate \w+ my\.toml", call("bn-ablate", "init", "my.toml"))
    assert next_commands == ["bn-ablate plan my.toml", "bn-ablate run my.toml"]
    for command in next_commands:
        call(*command.split(), "--device", "cpu", *(["--wandb", "disabled"] if " run " in command else []))
    assert "bn-helps" in (tmp_path / "results" / "my" / "report.html").read_text()
