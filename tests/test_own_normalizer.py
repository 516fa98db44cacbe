"""`examples/own_normalizer.py`: a normalizer of a user's file is planned, trained and reported like ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from jax.test_util import check_grads

import bn_ablate as bn
from bn_ablate.cli import main as cli
from bn_ablate.config.extensions import Extension, forget, load_extension
from bn_ablate.nn import How, Normalization, NormSettings, normalize

FILE = Path(__file__).resolve().parents[1] / "examples" / "own_normalizer.py"
TABLE: dict[str, Any] = {
    "name": "own",
    "seeds": 1,
    "data": {"n_train": 60, "n_validation": 30, "n_test": 30},
    "model": {"depth": 1, "width": 8},
    "train": {"steps": 4, "batch_size": 20},
    "measure": {"every": 4, "also": ["variance_shift"]},
    "axes": {"norm_kind": ["batch", "l1_batch"]},
}


@pytest.fixture(autouse=True)
def loaded() -> Iterator[Extension]:
    """The example, and nothing of it afterwards."""
    yield load_extension(FILE)
    forget(FILE)


@pytest.mark.parametrize("shape", [pytest.param((6, 3), marks=pytest.mark.slow), (4, 2, 2, 3)])
def test_it_is_what_its_file_says(shape: tuple[int, ...]) -> None:
    """Forward and its moving averages by hand, evaluation by these, its gradient by finite differences."""
    x = jnp.broadcast_to(jnp.arange(3.0), shape) + jax.random.normal(jax.random.key(0), shape)
    exact, axes = np.asarray(x, float), tuple(range(len(shape) - 1))
    mean = exact.mean(axes)
    square = np.pi / 2 * np.abs(exact - mean).mean(axes) ** 2
    norm, settings = Normalization(("l1_batch",)), NormSettings(True, momentum=0.75, epsilon=0.01)
    variables = norm.init(jax.random.key(0), x, settings, train=False)
    y, changed = norm.apply(variables, x, settings, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y, (exact - mean) / np.sqrt(square + 0.01), rtol=1e-4, atol=1e-5)
    moved = {"mean": 0.25 * mean, "var": 0.75 + 0.25 * square}
    for name, want in moved.items():
        np.testing.assert_allclose(changed["batch_stats"][name], want, rtol=1e-5)
    y = norm.apply(variables | changed, x, settings, train=False)
    np.testing.assert_allclose(y, (exact - moved["mean"]) / np.sqrt(moved["var"] + 0.01), rtol=1e-4, atol=1e-5)

    @jax.jit
    def loss(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
        y, _ = normalize(How(("l1_batch",)), 0, x, scale, bias, 0.1)
        return jnp.sum(jnp.sin(y) * jnp.arange(x.size).reshape(shape))

    check_grads(loss, (x, jnp.array([0.5, 1.0, 2.0]), jnp.zeros(3)), order=1, modes=["rev"], atol=0.05, rtol=0.05)


def test_its_name_is_known_and_its_source_is_in_the_ids_of_its_lanes() -> None:
    study = bn.load_study(FILE.with_suffix(".toml"))
    assert [extension.provides for extension in study.extensions] == [{"normalizer": ("l1_batch",)}]
    plan = bn.make_plan(study)
    assert len(plan.groups) == 1
    assert {cell.levels["norm_kind"] for cell in plan.cells if cell.settings.own} == {"l1_batch"}
    with pytest.raises(bn.ConfigError, match="did you mean 'l1_batch'"):
        bn.build_study(TABLE | {"axes": {"norm_kind": ["l1_bacht"]}}, extensions=[FILE])
    with pytest.raises(bn.ConfigError, match="'l1_batch' is none of batch, layer"):
        forget(FILE)
        bn.build_study(TABLE)


@pytest.mark.usefixtures("draw_little")
def test_it_goes_through_run_and_report(tmp_path: Path) -> None:
    results = bn.run(bn.build_study(TABLE, extensions=[FILE]), tmp_path)
    assert results.lanes["final_test_loss"].n_unique() == 2
    assert results.layers.filter(pl.col("step") == 4)["variance_shift"].is_not_null().all()
    forget(FILE)  # as where results are read without the file
    bn.write_report(results.path)
    assert "l1_batch" in (results.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "return x.mean(axes), x.var(axes)",
            r"wrong gives \(8,\), \(8,\) for x of \(\d+, 8\) and the axes \(0,\).* of \(1, 8\), as with keepdims=True",
        ),
        ("return x.mean(axes, keepdims=True)", r"wrong gives \(1, 8\) for x of .*: it must give two arrays"),
        ("return 1 / 0", r"mine\.py: fails\n.*in wrong\n.*ZeroDivisionError"),
    ],
)
def test_a_mistake_in_a_function_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    monkeypatch.setattr("bn_ablate.engine.set_up", lambda device: None)
    registered = "import bn_ablate as bn\n\n@bn.normalizer('wrong', over='batch')\ndef wrong(x, axes):\n"
    (tmp_path / "mine.py").write_text(f"{registered}    {body}\n")
    study = tmp_path / "own.toml"
    study.write_text(
        'name = "own"\nextensions = ["mine.py"]\nseeds = 1\nmodel = {depth = 1, width = 8}\nnorm.kind = "wrong"\n'
    )
    assert cli.main(["run", str(study), "--results", str(tmp_path / "results"), "--wandb", "disabled"]) == 2
    assert re.search(said, capsys.readouterr().err, re.DOTALL)
    forget(tmp_path / "mine.py")
