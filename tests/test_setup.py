"""Locks, the choice of a Python, and the tests on several Pythons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matrix
import pytest
import setup
from packaging.requirements import Requirement
from packaging.version import Version

PYTHONS = setup.tried_pythons()
LOCKS = [(lock, python) for lock in ("cpu", "tpu", "oldest", "cuda") for python in PYTHONS if python != "3.11"]
LOCKS += [(lock, "3.11") for lock in ("cpu", "tpu", "oldest")]
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64", "os_name": "posix"}
LINUX |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}


def entries(lock: str) -> list[str]:
    """What the lines of a lock say, each with its hashes."""
    return setup.lock_file(lock).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()


def needed(requirement: Requirement, python: str) -> bool:
    environment = LINUX | {"python_version": python, "python_full_version": f"{python}.1", "extra": ""}
    return requirement.marker is None or requirement.marker.evaluate(environment)


def pins(lock: str, python: str) -> dict[str, Version]:
    """Release by package, as pip installs them from a lock on Linux."""
    parsed = (Requirement(entry.split(" --hash")[0].strip()) for entry in entries(lock))
    here = [requirement for requirement in parsed if needed(requirement, python)]
    assert len({requirement.name for requirement in here}) == len(here), "pip takes no package twice"
    return {requirement.name: Version(str(requirement.specifier).removeprefix("==")) for requirement in here}


def declared(*extras: str) -> Iterator[Requirement]:
    """What pyproject.toml asks for, by the names that locks use."""
    project = setup.project()["project"]
    for extra in (project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)):
        for requirement in map(Requirement, extra):
            requirement.name = requirement.name.replace("_", "-")
            yield requirement


@pytest.mark.parametrize(("lock", "python"), LOCKS)
def test_a_lock_satisfies_what_the_project_declares_on_each_python(lock: str, python: str) -> None:
    pinned = pins(lock, python)
    extras = ("dev", lock) if lock in ("cuda", "tpu") else ("dev",)
    unmet = [
        str(requirement) for requirement in declared(*extras) if pinned[requirement.name] not in requirement.specifier
    ]
    assert not unmet


@pytest.mark.parametrize("lock", ["build", "cpu", "cuda", "docs", "tpu", "oldest"])
def test_every_pin_of_a_lock_has_hashes_and_no_address(lock: str) -> None:
    assert entries(lock)
    assert all("==" in entry and "--hash=sha256:" in entry and "://" not in entry for entry in entries(lock))


@pytest.mark.parametrize(("device", "python"), [pair for pair in LOCKS if pair[0] in ("cuda", "tpu")])
def test_the_lock_of_an_accelerator_adds_to_the_cpus_and_changes_nothing(device: str, python: str) -> None:
    cpu, accelerator = pins("cpu", python), pins(device, python)
    assert len(accelerator) > len(cpu)
    assert {name: accelerator[name] for name in cpu} == cpu


def test_no_lock_for_gpus_has_a_jax_that_is_wrong_there() -> None:
    wrong_until = Version("0.11.1")  # jax #36958: a vmapped scan
    for python in PYTHONS:
        if setup.numbers(python) >= setup.numbers(setup.OLDEST_PYTHON["cuda"]):
            jaxes = {name: version for name, version in pins("cuda", python).items() if name.startswith("jax")}
            jaxes.pop("jaxtyping")
            assert set(jaxes) == {"jax", "jaxlib", "jax-cuda13-pjrt", "jax-cuda13-plugin"}
            assert min(jaxes.values()) >= wrong_until
    assert pins("cpu", "3.11")["jax"] < wrong_until, "Python 3.11 has a right JAX: cuda.txt can be for it too"


@pytest.mark.parametrize("python", PYTHONS)
def test_the_oldest_lock_is_what_the_lower_bounds_say(python: str) -> None:
    pinned = pins("oldest", python)
    for requirement in declared("dev"):
        (bound,) = requirement.specifier
        release = Version(bound.version).release
        assert pinned[requirement.name].release[: len(release)] == release, requirement


def test_the_makefile_looks_for_the_pythons_that_the_classifiers_name() -> None:
    makefile = (setup.ROOT / "Makefile").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^PYTHONS +:= (.+)$", makefile, flags=re.MULTILINE)
    assert listed.split() == ["$(BIN)/python", *(f"python{minor}" for minor in PYTHONS), "python3", "python"]
    (floor,) = re.findall(r"version_info < \((\d+), (\d+)\)", makefile)
    assert f">={'.'.join(floor)}" == setup.project()["project"]["requires-python"]
    assert ".".join(floor) == min(setup.OLDEST_PYTHON.values(), key=setup.numbers) == PYTHONS[-1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose cuda needs Python 3.98, which is tried too; `bin` beside it is all that is on PATH."""
    root = tmp_path / "checkout"
    for path in ("Makefile", "pyproject.toml", "requirements", "scripts/setup.py"):
        source, target = setup.ROOT / path, root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    pyproject, script = root / "pyproject.toml", root / "scripts" / "setup.py"
    line = '"Programming Language :: Python :: 3.11",'
    pyproject.write_text(pyproject.read_text().replace(line, f"{line}\n    {line.replace('3.11', '3.98')}"))
    script.write_text(script.read_text().replace('"cuda": "3.12"', '"cuda": "3.98"'))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(setup.choose_python("cpu", alone=True).path)
    (tmp_path / "bin" / "head").symlink_to(str(shutil.which("head")))
    return root


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home = checkout.parent
    command = (str(shutil.which("make")), "setup", *arguments)
    variables = {"PATH": str(home / "bin"), "HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout, env=variables)


def pretend(python: Path, version: str) -> None:
    """An interpreter that says it has this version, and makes no environment."""
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *platform*) echo {version}; echo {python};; *venv*) echo no room >&2; exit 1;; esac\n'
    )
    python.chmod(0o755)


@pytest.mark.parametrize("given", [False, True], ids=["found", "given"])
def test_cuda_on_a_python_that_is_too_old_ends_with_2_and_the_remedy(checkout: Path, given: bool) -> None:
    if given:  # then no other is looked for
        pretend(checkout.parent / "bin" / "python3.98", "3.98.1")
    done = make(checkout, "DEVICE=cuda", *(["PYTHON=python3"] if given else []))
    assert done.returncode == 2
    assert "setup] Error 2" in done.stderr, "make ends with 2 whatever the script ended with"
    assert "DEVICE=cuda needs Python 3.98 or later" in done.stderr
    assert "    make setup DEVICE=cuda PYTHON=/path/to/python3.98\n" in done.stderr
    assert f"Python {setup.choose_python('cpu', alone=True).version}" in done.stderr
    assert ("no later one was found" in done.stderr) is not given
    assert not (checkout / ".venv").exists()
    assert not done.stdout


@pytest.mark.parametrize(
    "place", ["bin", ".pyenv/versions/3.98.11/bin", ".local/share/uv/python/cpython-3.98.11-linux/bin"]
)
def test_cuda_takes_a_later_python_where_there_is_one(checkout: Path, place: str) -> None:
    home = checkout.parent
    pretend(home / ".pyenv/versions/3.98.2/bin/python3.98", "3.98.2")
    pretend(home / place / "python3.98", "3.98.11")
    done = make(checkout, "DEVICE=cuda")
    assert "Setting up .venv: cuda, Python 3.98.11, pip" in done.stdout
    assert f"`{home / place / 'python3.98'} -m venv {checkout / '.venv'}` ended with exit status 1" in done.stderr


def test_what_a_linked_environment_points_at_is_left_alone(checkout: Path) -> None:
    other = checkout.parent / "other"
    (other / "lib").mkdir(parents=True)
    (checkout / ".venv").symlink_to(other)
    done = make(checkout)
    assert "setup] Error 1" in done.stderr
    assert f"make setup: .venv is a link to {other} and out of date: remove it with `rm .venv`." in done.stderr
    assert (other / "lib").is_dir()


def test_an_old_python_is_named(checkout: Path) -> None:
    old = checkout.parent / "bin" / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.18 || exit 1\n')
    old.chmod(0o755)
    done = make(checkout, "PYTHON=python3.9")
    assert done.returncode == 2
    assert "bn_ablate needs Python 3.11 or later; 'python3.9' is not: Python 3.9.18" in done.stderr


TESTS = """\
import pytest

def test_right(): pass
def test_wrong(): assert False
@pytest.mark.skip(reason="")
def test_left_out(): pass
"""


@pytest.mark.slow
def test_the_matrix_says_what_ran_where_and_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = setup.choose_python("cpu", alone=True)
    monkeypatch.setattr(
        matrix, "find_python", lambda minor: replace(here, version="3.12.9") if minor == "3.12" else None
    )
    monkeypatch.setattr(setup.Environment, "make", lambda environment: None)
    monkeypatch.setattr(setup.Environment, "executable", Path(sys.executable))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # to start fast
    monkeypatch.setenv("PYTEST_PLUGINS", "xdist.plugin")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"-c {os.devnull} --rootdir {tmp_path}")
    tests = tmp_path / "test_it.py"
    tests.write_text(TESTS)
    assert matrix.main([str(tests), "-n", "0"]) == 1
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| 3")]
    assert [(row[0], row[1], row[-2]) for row in rows] == [
        ("| 3.11", "–", "no such Python here"),
        ("| 3.12.9", "oldest", "1 passed, 1 failed, 1 skipped"),
        ("| 3.12.9", "cpu", "1 passed, 1 failed, 1 skipped"),
        ("| 3.13", "–", "no such Python here"),
    ]
    tests.write_text(TESTS.replace("False", "True"))
    assert matrix.main([str(tests), "-n", "0", "--python", "3.12", "--lock", "cpu"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 3")]
    assert "2 passed, 1 skipped" in row
