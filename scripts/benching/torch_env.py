"""The environment that PyTorch lives in, apart from the project's own."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benching.workers import ROOT

FOLDER = ROOT / ".venv-bench"
PYTHON = FOLDER / "bin" / "python"


def torch_python(say: Callable[[str], None], given: Path | None = None) -> Path | None:
    """An interpreter that has PyTorch: the one given, that of `.venv-bench`, or a new one; None if none can be had."""
    for python in (given,) if given else (PYTHON,):
        if python.exists() and _has_torch(python):
            return python.absolute()
    if given:
        say(f"{given} has no PyTorch; its peers are left out")
        return None
    return _install(say)


def _has_torch(python: Path) -> bool:
    command = [str(python), "-c", "import torch, numpy"]
    return subprocess.run(command, capture_output=True, check=False, cwd=FOLDER.anchor).returncode == 0


def _install(say: Callable[[str], None]) -> Path | None:
    say(f"making {FOLDER.name}, for PyTorch")
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    needs = (*extra, "numpy")
    if uv := shutil.which("uv"):
        commands: tuple[list[Any], ...] = (
            [uv, "venv", "-q", "--clear", "--python", sys.executable, FOLDER],
            [uv, "pip", "install", "-q", "--python", PYTHON, *needs],
        )
    elif importlib.util.find_spec("ensurepip"):
        commands = ([sys.executable, "-m", "venv", "--clear", FOLDER], [PYTHON, "-m", "pip", "install", "-q", *needs])
    else:
        say(f"{sys.executable} lacks `venv`, and there is no uv; the peers with PyTorch are left out")
        return None
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            say(f"PyTorch could not be installed ({reason}); its peers are left out")
            return None
    return PYTHON if _has_torch(PYTHON) else None
