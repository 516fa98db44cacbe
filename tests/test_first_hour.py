"""What a newcomer has after an installation: the studies that come with the package, and a first one of one's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.analysis import write_claims
from bn_ablate.cli.console import make_console
from bn_ablate.cli.main import COMMANDS, main
from bn_ablate.cli.printed_commands import runnable
from bn_ablate.config.shipped import shipped
from bn_ablate.results import of_studies, open_results
from tests.browser import browser
from tests.synthetic import write_results

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_study_of_configs_comes_with_the_package_under_a_name_of_its_own() -> None:
    files = [file for file in sorted((ROOT / "configs").rglob("*.toml")) if file.parent.name != "published"]
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


@pytest.mark.parametrize(
    ("started", "on_path", "said"),
    [
        (".venv/bin/bn-ablate", False, ".venv/bin/bn-ablate"),
        ("my env/bin/bn-ablate", False, "'my env/bin/bn-ablate'"),
        ("bin/bn-ablate", True, "bn-ablate"),  # the very file that PATH has
        (".venv/bin/bn-ablate", True, ".venv/bin/bn-ablate"),  # PATH has another
        ("/x/bn_ablate/cli/__main__.py", False, f"{shlex.quote(sys.executable)} -m bn_ablate.cli"),
        ("/x/bn_ablate/cli/__main__.py", True, "bn-ablate"),
        ("/usr/bin/pytest", False, "bn-ablate"),
    ],
)
def test_printed_commands_begin_as_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: str, on_path: bool, said: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bn-ablate").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") if on_path else str(tmp_path))
    monkeypatch.setattr(sys, "argv", [started])
    assert runnable("`bn-ablate report x`, then bn-ablate sync x") == f"`{said} report x`, then {said} sync x"
    for other in (
        "bn-ablate: no",
        "bn-ablate claims: needs",
        "/bin/bn-ablate run",
        "bn-ablate 0.1",
        "my-bn-ablate run",
    ):
        assert runnable(other) == other


def test_errors_and_tables_print_commands_as_they_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [".venv/bin/bn-ablate"])
    monkeypatch.setenv("PATH", "")
    assert main(["plan", "abblate"]) == 2
    assert "`.venv/bin/bn-ablate configs` lists" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["ls", "nowhere"])
    assert "nowhere: holds no results; `.venv/bin/bn-ablate run ablate` makes some" in capsys.readouterr().err
    make_console().print("`bn-ablate plan x`", markup=False)
    assert capsys.readouterr().out == "`.venv/bin/bn-ablate plan x`\n"


@pytest.mark.parametrize("command", [name for name in COMMANDS if " " not in name])
def test_help_names_no_default_that_is_none(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert not re.findall(r"\{None\}|\(default: \)|\(default: None\)", said)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all results: of a whole study with verdicts, a quick run, and one that cannot be read."""
    root = tmp_path_factory.mktemp("made") / "results"
    sides = {"a": {"placement": "pre"}, "b": {"placement": "none"}, "alternative": "greater"}
    hypothesis = {"id": "h", "claim": "C7", "kind": "contrast", "statement": "S.", "metric": "final_test_accuracy"}
    table = {"name": "whole", "seeds": 6, "train": {"steps": 100}, "axes": {"placement": ["none", "pre"]}}
    whole = write_results(root / "whole", table | {"hypotheses": [hypothesis | sides]})
    write_claims(whole)
    manifest = json.loads((whole.path / "manifest.json").read_text())
    for name, content in [("quick", json.dumps(manifest | {"quick": True})), ("wrong", "{")]:
        (root / name).mkdir()
        (root / name / "manifest.json").write_text(content)
    return root


def test_ls_lists_results_and_says_of_one_why_not(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", str(results)]) == 0
    said = capsys.readouterr().out
    (row,) = re.findall(r"results/whole +whole +.* 12 of 12 +1 \w+ +[\d.]+ MiB", said)
    assert f"1 {open_results(results / 'whole').claims[0]['verdict']} " in row
    assert f"{results / 'wrong' / 'manifest.json'}: cannot be read: " in said
    assert main(["ls", str(results / "whole")]) == 0
    assert "12 of 12" in capsys.readouterr().out


def test_a_paper_takes_the_whole_studies_of_a_folder(results: Path, tmp_path: Path, draw_little: None) -> None:
    root = tmp_path / "results"
    for name in ("whole", "quick"):
        shutil.copytree(results / name, root / name)
    assert of_studies([root]) == of_studies([root / "whole"]) == [root / "whole"]
    with pytest.raises(bn.ResultsError, match="holds no results of a whole study; `bn-ablate run ablate` makes some"):
        of_studies([tmp_path])
    assert main(["paper", str(root), "--output", str(tmp_path / "paper")]) == 0
    assert list(json.loads((tmp_path / "paper" / "PROVENANCE.json").read_text())["studies"]) == ["whole"]


def test_make_paper_takes_the_claims_that_have_results_else_all_there_is(tmp_path: Path) -> None:
    def paper() -> str:
        words = ("make", "--dry-run", "-C", ROOT, "paper", f"RESULTS={tmp_path}")
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return next(line for line in said.splitlines() if "bn-ablate paper" in line)

    assert paper().endswith(f'bn-ablate paper "{tmp_path}" --output paper')
    (tmp_path / "c1_x").mkdir()
    (tmp_path / "c1_x" / "manifest.json").touch()
    assert paper().endswith(f'bn-ablate paper "{tmp_path}/c1_x" --output paper')


@pytest.mark.slow  # builds a wheel, makes an environment and trains in it
def test_a_newcomer_installs_a_wheel_runs_a_study_and_explores_its_report(tmp_path: Path) -> None:
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
    call("bn-ablate", "report", "results/my")
    page = tmp_path / "results" / "my" / "report.html"
    with browser(tmp_path) as driven:
        driven.open(page.as_uri())
        assert driven.run("!!document.getElementById('hypothesis-bn-helps')")
        driven.run("document.getElementById('explorer').open = true")
        driven.wait("document.getElementById('explorer').dataset.state === 'open'")
        count = "document.getElementById('explorer-count').textContent"
        assert driven.run(count).startswith("48 lanes of 48")
        driven.drag("#explorer-scatter canvas", (0.1, 0.05), (0.5, 0.85))
        driven.wait(f"!{count}.startsWith('48 lanes')")
        assert 0 < int(driven.run(count).split()[0]) < 48
        driven.run("document.querySelector('[data-save=scatter]').click()")
        figure = tmp_path / "downloads" / "my-scatter.png"
        driven.until(figure.exists)
        assert figure.read_bytes().startswith(b"\x89PNG")
        assert driven.said == []
