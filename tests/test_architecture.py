"""Imports follow the way of the data, heavy packages stay in their one place, and `import bn_ablate` is light."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("flax", "jax", "matplotlib", "polars", "scipy", "tensorflow_datasets", "wandb")


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `root`'s pyproject.toml on the package that lies beside it."""
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_contracts_are_kept() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


PLANTED = [
    ("config", "import bn_ablate.results", "Imports go one way"),
    ("nn", "import bn_ablate.data", "Imports go one way"),
    ("analysis", "import wandb", "Only the sinks know Weights & Biases"),
    ("results", "import matplotlib.pyplot", "Only the analysis draws"),
    ("plan", "import jax", "A study is read and planned without JAX"),
]


def test_planted_imports_break_their_contracts(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "bn_ablate", tmp_path / "bn_ablate", ignore=shutil.ignore_patterns("__pycache__"))
    for package, planted, _ in PLANTED:
        (tmp_path / "bn_ablate" / package / "planted.py").write_text(f"{planted}\n")
    outcome = lint_imports(tmp_path)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    for package, planted, contract in PLANTED:
        assert any(line.startswith(contract) and " BROKEN" in line for line in outcome.stdout.splitlines())
        assert f"bn_ablate.{package}.planted -> {planted.split()[1].partition('.py')[0]}" in outcome.stdout


def test_importing_the_package_is_light() -> None:
    code = f"import bn_ablate, sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
