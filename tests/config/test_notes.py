"""What is allowed and seldom meant is remarked on, once, with the cells that it is about; and the remarks are true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate.config import build_study
from bn_ablate.config.notes import notes_of
from bn_ablate.plan import make_plan


def remarks(table: dict[str, Any]) -> list[str]:
    """The notes on a study of 400 steps in batches of 64, 3 × 128 relu units, BN before them."""
    plan = make_plan(build_study({"name": "x"} | table))
    return [str(note) for note in notes_of((cell.levels, cell.stated) for cell in plan.cells)]


@pytest.mark.parametrize(
    ("table", "telling"),
    [
        (
            {"train": {"batch_size": 1}},
            "train.batch_size = 1: an example is its own mean, so that in training BN gives β and no kernel before it "
            "learns (in every cell)",
        ),
        ({"norm": {"batch_size": 1}}, "norm.batch_size = 1: an example is its own mean"),
        ({"norm": {"batch_size": 2}}, "norm.batch_size = 2: in training BN turns each pair of values into ±1"),
        (
            {"norm": {"batch_size": 1}, "model": {"architecture": "cnn"}},
            "norm.batch_size = 1: each image is normalized by its own",
        ),
        ({"norm": {"momentum": 1.0}}, "norm.momentum = 1: the moving statistics stay at mean 0 and variance 1"),
        ({"norm": {"momentum": 0.0}}, "norm.momentum = 0: the moving statistics are those of the last batch alone"),
        (
            {"train": {"steps": 12}},
            "norm.momentum = 0.9: after 12 steps 28% of the moving statistics are still what they began with",
        ),
        ({"norm": {"epsilon": 1.0}}, "norm.epsilon = 1: is no small number"),
        (
            {"norm": {"scale_init": 0.0}, "model": {"architecture": "resnet"}},
            "norm.scale_init = 0: at first BN gives β alone, the same for every example, and passes no gradient back, "
            "so that nothing but biases ever learns",
        ),
        (
            {"norm": {"bias_init": -4.0}},
            "norm.bias_init = -4: at first a relu after BN lets through about 3e-05 of all",
        ),
        (
            {"norm": {"coverage": "none"}},
            "norm.coverage = none: there is no BN, whatever norm.placement says",
        ),
        (
            {"norm": {"placement": "none"}, "train": {"trainable": "affine_only"}},
            "train.trainable = affine_only: there is neither γ nor β, and nothing is trained",
        ),
        (
            {"train": {"trainable": "affine_only", "weight_decay": 0.1}},
            "train.weight_decay = 0.1: has no effect; it acts where kernels are trained",
        ),
        (
            {"train": {"nesterov": True, "optimizer": "adam"}},
            "train.nesterov = true: has no effect; it acts with other optimizers than adam",
        ),
        (
            {"train": {"nesterov": True, "momentum": 0.0}},
            "train.nesterov = true: has no effect; it acts with other optimizers than adam",
        ),
        (
            {"train": {"warmup_steps": 390}},
            "train.warmup_steps = 390: the learning rate rises for 98% of the 400 steps",
        ),
        (
            {"train": {"schedule": "step", "milestones": [0.5, 400]}},
            "train.milestones = 400: never comes, in 400 steps",
        ),
        (
            {"train": {"schedule": "step", "milestones": [9, 0.5], "warmup_steps": 10}},
            "train.milestones at step 9: the learning rate still rises then, for 10 steps, and begins lower after them",
        ),
        (
            {"train": {"schedule": "step", "milestones": [400]}},
            "train.milestones = [400]: has no effect; it acts with train.schedule = step",
        ),
        (
            {"model": {"width": 8}, "dropout": {"rate": 0.7}},
            "dropout.rate = 0.7: all 8 units of a layer are dropped for 5.8% of the examples",
        ),
    ],
)
def test_what_is_seldom_meant_is_remarked_on(table: dict[str, Any], telling: str) -> None:
    (remark,) = remarks(table)
    assert remark.startswith(telling)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"norm": {"momentum": 0.8}, "axes": {"placement": ["none", "pre"]}},  # the lanes without BN need none
        {"norm": {"batch_size": 2}, "model": {"architecture": "resnet"}},
        {"norm": {"placement": "post", "bias_init": -9.0}},
        {"train": {"trainable": "affine_only"}},
        {"train": {"warmup_steps": 200}, "dropout": {"rate": 0.9}},
    ],
)
def test_other_settings_are_not(table: dict[str, Any]) -> None:
    assert remarks(table) == []


def test_without_bn_its_settings_are_idle_and_nothing_else() -> None:
    norm = {"placement": "none", "momentum": 1.0, "batch_size": 1, "scale_init": 0.0, "epsilon": 2.0}
    found = remarks({"norm": norm})
    assert sorted(remark.split(":")[0] for remark in found) == [
        "norm.batch_size = 1",
        "norm.epsilon = 2.0",
        "norm.momentum = 1.0",
        "norm.scale_init = 0.0",
    ]
    assert all("has no effect; it acts where " in remark for remark in found)


def test_a_remark_is_made_once_with_its_cells() -> None:
    axes = {"placement": ["none", "pre", "post"], "bn_momentum": [0.9, 1.0], "activation": ["relu", "tanh"]}
    exclude = [{"placement": "none", "bn_momentum": 1.0}]
    (remark,) = remarks({"axes": axes, "exclude": exclude})
    assert remark.endswith("(in 4 of 10 cells: placement pre, post; bn_momentum 1.0)")


@pytest.mark.slow
def test_nothing_learns_where_that_is_said(tmp_path: Path) -> None:
    """Gradients of kernels at the start and after three steps: 0 where γ = 0 stands twice in a row, not where once."""
    table = {
        "name": "zero",
        "seeds": 1,
        "data": {"n_train": 40, "n_validation": 40, "n_test": 40},
        "model": {"depth": 2, "width": 8, "activation": "gelu"},
        "norm": {"scale_init": 0.0},
        "train": {"steps": 3, "batch_size": 20},
        "axes": {"coverage": ["all", "first"]},
    }
    plan = make_plan(build_study(table))
    said = {cell.levels["coverage"]: "ever learns" in str([*cell.settings.notes()]) for cell in plan.cells}
    assert said == {"all": True, "first": False}
    results = bn.run(plan, tmp_path)
    after = results.layers.filter(pl.col("step") == 3).join(results.lanes.select("lane_id", "coverage"), on="lane_id")
    for coverage, nothing in said.items():
        gradients = after.filter(coverage=coverage)["gradient_norm"]
        assert all(gradients == 0) == nothing


def test_the_plan_and_the_report_show_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bn_ablate.analysis import write_report
    from bn_ablate.cli import main as cli
    from tests.synthetic import write_results

    results = write_results(tmp_path / "x", {"name": "x", "seeds": 1, "norm": {"momentum": 1.0}})
    monkeypatch.setattr("bn_ablate.analysis.pages.report.charts", lambda results: [])
    write_report(results.path)
    remark = "norm.momentum = 1: the moving statistics stay at mean 0 and variance 1, by which evaluation normalizes"
    assert remark in (results.path / "report.html").read_text()
    (tmp_path / "x.toml").write_text('name = "x"\nseeds = 1\nnorm.momentum = 1.0')
    assert cli.main(["plan", str(tmp_path / "x.toml")]) == 0
    assert f"note: {remark} (in every cell)" in capsys.readouterr().out
