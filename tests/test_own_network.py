"""`examples/own_network.py`: networks of a user's file are planned, trained and reported like ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import bn_ablate as bn
from bn_ablate.config.architectures import Layer, layout_of
from bn_ablate.config.extensions import Extension, forget, load_extension

FILE = Path(__file__).resolve().parents[1] / "examples" / "own_network.py"


@pytest.fixture(autouse=True)
def loaded() -> Iterator[Extension]:
    """The example, and nothing of it afterwards."""
    yield load_extension(FILE)
    forget(FILE)


def test_their_shapes_are_known_beforehand() -> None:
    """The module's are found by tracing it: 64 pixels, and 8 units beside them."""
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 40
    reminded, funnel = (layout_of(name, 2, 8, (8, 8, 1), 10) for name in ("reminded", "funnel"))
    assert reminded.layers == (Layer(64 * 8, (8,), False), Layer(72 * 8, (8,), False))
    assert (reminded.entry, reminded.head) == ((64,), 73 * 10)
    assert funnel.layers == (Layer(64 * 8, (8,), False), Layer(8 * 4, (4,), False))


@pytest.mark.usefixtures("draw_little")
def test_a_module_goes_through_plan_run_and_report(tmp_path: Path) -> None:
    table = {
        "name": "own",
        "seeds": 2,
        "data": {"n_train": 60, "n_validation": 30, "n_test": 30},
        "model": {"architecture": "reminded", "depth": 2, "width": 8},
        "dropout": {"site": "ic"},
        "train": {"steps": 6, "batch_size": 20},
        "axes": {"placement": ["none", "post"], "dropout_rate": [0.0, 0.2]},
    }
    plan = bn.make_plan(bn.build_study(table, extensions=[FILE]))
    assert len(plan.groups) == 1
    results = bn.run(plan, tmp_path)
    assert results.lanes["final_test_loss"].is_finite().all()
    assert results.lanes["final_test_loss"].n_unique() == 8
    assert set(results.layers["layer"]) == {0, 1}
    for loaded, title in ((True, "Reminded MLP, 2 hidden layers"), (False, "reminded, 2 hidden layers")):
        if not loaded:
            forget(FILE)  # as where results are read without the file
        bn.write_report(results.path)
        assert title in (results.path / "report.html").read_text(encoding="utf-8")


def test_lanes_of_ours_are_the_same_beside_them() -> None:
    study = bn.load_study(FILE.with_suffix(".toml"))
    assert [extension.provides for extension in study.extensions] == [{"network": ("funnel", "reminded")}]
    plan = bn.make_plan(study)
    assert {bool(cell.settings.own) for cell in plan.cells if cell.levels["architecture"] == "mlp"} == {False}
    assert plan.n_lanes == 45
