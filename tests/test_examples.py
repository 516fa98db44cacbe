"""What examples/ holds runs, on fewer steps."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import bn_ablate as bn
from bn_ablate.config import extensions
from bn_ablate.measure import MEASURES
from bn_ablate.runs.rerun import verify_lanes

EXAMPLES = Path(__file__).parents[1] / "examples"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert files
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > 40} == {}


@pytest.mark.slow  # tests/test_own_measure.py has measures of a user's own from end to end
def test_own_measure(tmp_path: Path) -> None:
    """Its formula is SciPy's, the example runs, and without its very file no lane is trained again."""
    study = bn.load_study(EXAMPLES / "own_measure.toml", ["seeds=1", "train.steps=4", "model.depth=2", "model.width=8"])
    done = bn.run(study, tmp_path)
    assert done.layers["kurtosis"].is_finite().all()
    assert done.layers.height == 4 * 2 * 2
    assert done.layers["kurtosis"].n_unique() == 16 - 2  # before training the first layer knows no activation
    z = np.random.default_rng(0).gamma(2.0, size=(40, 3, 3, 5))
    z[..., 4] = 1.0  # a unit that does not vary
    by_scipy = np.nanmean(scipy.stats.kurtosis(z[..., :4].reshape(-1, 4)))
    (own,) = study.extensions
    assert float(MEASURES["kurtosis"].formula(jnp.asarray(z))["kurtosis"]) == pytest.approx(by_scipy, rel=1e-4)
    extensions.forget(EXAMPLES / own.file)
    with pytest.raises(bn.ConfigError, match=r"'kurtosis' is that of a file own_measure\.py with the SHA-256"):
        verify_lanes(done.path, 1)


@pytest.mark.slow  # writes a report with its figures
def test_own_data(tmp_path: Path) -> None:
    done = loaded("own_data").main(tmp_path, steps=4)
    assert (done.lanes.height, done.manifest["data"]["name"]) == (36, "breast_cancer")
    assert (done.path / "report.html").is_file()
    assert done.lanes["final_test_accuracy"].is_not_null().all()
