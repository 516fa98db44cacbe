"""Weights of lanes: kept beside the tables, written for other frameworks, loaded as networks that compute the same."""

from __future__ import annotations

import base64
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
import sklearn.metrics

import bn_ablate as bn
from bn_ablate import engine
from bn_ablate.cli import main as cli
from bn_ablate.config import LaneSettings
from bn_ablate.config.lane import base_settings
from bn_ablate.data import load
from bn_ablate.engine.kept import Keeping
from bn_ablate.engine.program import program_of
from bn_ablate.engine.train import TrainState
from bn_ablate.nn import lane_factors
from bn_ablate.plan import make_plan
from bn_ablate.plan.disk import disk_bytes
from bn_ablate.results.tensors import read_about, read_tensors, write_tensors
from bn_ablate.results.weights import WEIGHTS, LaneWeights, names_in_use
from bn_ablate.runs.predictions import Predictions
from tests.engine.test_averaging import STUDY as AVERAGED

PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
TORCH = json.loads((Path(__file__).parent / "torch_weights.json").read_text())
STUDY: dict[str, Any] = {
    "name": "kept",
    "seeds": 2,
    "data": {"n_train": 100, "n_validation": 60, "n_test": 90},
    "model": {"depth": 2, "width": 8},
    "train": {"steps": 12, "batch_size": 20, "learning_rate": 1.0},
    "measure": {"every": 4, "keep": ["final", "best", "measured"]},
    "axes": {"placement": ["none", "pre"], "learning_rate": [0.03, 3.0]},
}
PLAIN = STUDY | {"name": "plain", "measure": {"every": 4}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one study, with and without its weights."""
    root = tmp_path_factory.mktemp("weights")
    for study in (STUDY, PLAIN):
        bn.run(bn.build_study(study), root)
    return root


def shards(folder: Path) -> dict[str, bytes]:
    """What the files of the shards in a results folder hold, by their names, besides time and place."""
    return {
        file.name: file.read_bytes()
        for file in folder.glob("shards/*/*")
        if file.suffix in (".parquet", ".safetensors")
    }


def test_keeping_weights_changes_no_lane_and_no_number(root: Path) -> None:
    kept, plain = (bn.build_study(study) for study in (STUDY, PLAIN))
    assert [lane.id for lane in make_plan(kept).lanes] == [lane.id for lane in make_plan(plain).lanes]
    assert base_settings(kept) == base_settings(plain)
    assert "keep" not in plain.model_dump()["measure"]
    both = shards(root / "kept")
    weights = both.pop(WEIGHTS)
    assert both == shards(root / "plain")
    extent = load("digits").extent
    counted, without = (disk_bytes(make_plan(study), 1, extent) for study in (kept, plain))
    assert len(weights) < counted - without < 4 * len(weights)


def test_the_networks_that_were_kept_give_the_stored_accuracies_to_the_bit(root: Path) -> None:
    results = bn.open_results(root / "kept")
    best = results.lanes["best_step"].unique().to_list()
    assert len(best) > 1  # else this would test but one of the choices
    for cell in ({"placement": "none", "learning_rate": 3.0}, {"placement": "pre", "learning_rate": 0.03}):
        row = results.lanes.filter(seed=1, **cell).row(0, named=True)
        curve = results.history.filter(lane_id=row["lane_id"]).rows_by_key("step", named=True, unique=True)
        for at, step in (("final", 12), ("best", row["best_step"]), (4, 4)):
            lane = bn.load_lane(results, cell, 1, at=at)
            assert (lane.step, lane.replayed) == (step, "")
            for part in ("validation", "test"):
                assert lane.accuracy(part) == curve[step][f"{part}_accuracy"]
        images, labels = lane.examples("test")
        assert (lane.logits(images).argmax(1) == labels).mean() == pytest.approx(lane.accuracy("test"), abs=1e-6)
        direct = jax.jit(partial(lane.network.apply, train=False))(lane.variables, jnp.asarray(images), lane.factors)
        np.testing.assert_allclose(lane.logits(images), direct, rtol=1e-5, atol=1e-5)
    assert repr(lane) == "LoadedLane(placement pre, learning_rate 0.03, seed 1, after 4 steps, as stored)"


def test_what_was_not_kept_is_trained_again_and_says_so(root: Path) -> None:
    cell = {"placement": "pre", "learning_rate": 3.0}
    again = bn.load_lane(root / "plain", cell, 0, at=8)
    assert again.replayed == (
        "its weights were not kept (measure.keep), so it was trained again, with the numbers that are stored"
    )
    stored = bn.load_lane(root / "kept", cell, 0, at=8).weights.tensors
    assert again.weights.tensors.keys() == stored.keys()
    assert all(np.array_equal(again.weights.tensors[name], tensor) for name, tensor in stored.items())


def test_averaged_weights_are_kept_with_the_statistics_that_they_were_evaluated_with(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = bn.run(bn.build_study(AVERAGED, measure={"every": 4, "keep": ["final", "averaged"]}), tmp_path / "kept")
    plain = bn.run(bn.build_study(AVERAGED), tmp_path / "plain")
    row = kept.lanes.row(0, named=True)
    lane, again, final = bn.load_lane(kept, at="averaged"), bn.load_lane(plain, at="averaged"), bn.load_lane(kept)
    for part in ("train", "validation", "test"):
        assert lane.accuracy(part) == row[f"averaged_{part}_accuracy"]
    assert (lane.step, lane.replayed, again.replayed.split(", ")[-1]) == (8, "", "with the numbers that are stored")
    tensors, of_end = lane.weights.tensors, final.weights.tensors
    assert tensors.keys() == again.weights.tensors.keys() == of_end.keys()
    assert all(np.array_equal(again.weights.tensors[name], tensor) for name, tensor in tensors.items())
    for name in ("params/block_0/linear/kernel", "batch_stats/block_0/norm/mean"):
        assert not np.array_equal(tensors[name], of_end[name])
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    file = tmp_path / "net.safetensors"
    assert cli.main(["weights", str(kept.path), "--at", "averaged", "--output", str(file)]) == 0
    size = sum(tensor.size for tensor in tensors.values())
    assert (
        capsys.readouterr().out == f"{file}: {len(tensors)} tensors of averaged weights, {size} numbers, after step 8\n"
    )
    written = read_tensors(file)
    assert all(np.array_equal(written[name], tensor) for name, tensor in tensors.items())
    assert json.loads(read_about(file)["average"]) == {"kind": "swa", "from": 6}
    assert "average" not in final.weights.about
    with pytest.raises(bn.ConfigError, match=r"at: = averaged: the lane has no averaged weights; train.average keeps"):
        bn.load_lane(root / "kept", {"placement": "pre", "learning_rate": 3.0}, 0, at="averaged")
    with pytest.raises(bn.ConfigError, match=r"measure.keep: lists averaged weights, and no lane has any"):
        make_plan(bn.build_study(STUDY, measure={"keep": "averaged"}))


def test_a_run_that_was_stopped_keeps_what_one_run_keeps(root: Path, tmp_path: Path) -> None:
    def stop(progress: bn.RunProgress) -> None:
        if progress.lane_steps:
            raise KeyboardInterrupt

    stopped = 0
    while True:
        try:
            bn.run(bn.build_study(STUDY), tmp_path, on_progress=stop if stopped < 2 else None)
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped == 2
    assert shards(tmp_path / "kept") == shards(root / "kept")


def state(value: float) -> TrainState:
    leaf = np.full((2, 3, 4), value, np.float32) + np.arange(6, dtype=np.float32).reshape(2, 3, 1) / 10
    return TrainState({"w": leaf}, {"m": leaf[..., 0]}, (), leaf, leaf, leaf)  # type: ignore[arg-type]


@pytest.mark.parametrize("stop", [None, 0, 1, 2])
def test_the_best_are_those_of_the_lowest_loss_the_first_of_equals(stop: int | None) -> None:
    losses = np.array([[[3, np.nan], [np.nan, 2]], [[2, 5], [np.inf, 1]], [[2, 4], [np.nan, 3]]])
    keeping = Keeping(("final", "best"), 20)
    for i, loss in enumerate(losses):
        keeping.look(10 * i, loss, state(i), (slice(2), slice(2)))
        if stop == i:
            saved, keeping = keeping.pack(), Keeping(("final", "best"), 20)
            keeping.unpack(saved, state(0))
    expected = np.where(np.isfinite(losses), losses, np.inf).argmin(axis=0)
    assert keeping.weights.keys() == {"final", "best"}
    assert np.array_equal(keeping.weights["best"].steps, 10 * expected)
    for i, j in np.ndindex(2, 2):
        assert np.array_equal(keeping.weights["best"].params["w"][i, j], state(expected[i, j]).params["w"][i, j])
        assert np.array_equal(
            keeping.weights["best"].batch_stats["m"][i, j], state(expected[i, j]).batch_stats["m"][i, j]
        )
    assert np.array_equal(keeping.weights["final"].params["w"], state(2).params["w"][:, :2])


def test_the_command_writes_one_lane_and_names_what_is_missing(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "set_up", lambda device: None)

    def call(*words: object) -> tuple[int, str, str]:
        status = cli.main(["weights", *map(str, words)])
        return status, *capsys.readouterr()

    lane, file = "placement=pre,learning_rate=3.0,seed=1", tmp_path / "net.safetensors"
    status, said, errors = call(root / "kept", "--only", lane, "--at", "best", "--output", file)
    assert (status, errors) == (0, "")
    stored = bn.load_lane(root / "kept", {"placement": "pre", "learning_rate": 3.0}, 1, at="best")
    assert said == f"{file}: 16 tensors, 748 numbers, after step {stored.step}\n"
    written = read_tensors(file)
    assert all(np.array_equal(written[name], tensor) for name, tensor in stored.weights.tensors.items())
    about = read_about(file)
    assert (about["seed"], about["step"], about["lane"]) == ("1", str(stored.step), stored.cell.lane_id(1))
    assert json.loads(about["network"])["blocks"][1]["features"] == 8
    assert np.array_equal(written["input/mean"], stored.mean)
    status, said, errors = call(root / "kept", "--only", "placement=pre", "--output", file)
    assert (status, said) == (2, "")
    assert "these are 4 lanes, and one is wanted: choose learning_rate 0.03, 3.0; seed 0, 1" in errors
    status, _, errors = call(root / "kept", "--only", lane, "--at", "7", "--output", file)
    assert (status, "at: = 7: the lane was not measured then, but at 0, 4, 8, 12" in errors) == (2, True)
    status, _, errors = call(root / "kept", "--only", lane, "--output", root / "kept" / "w.safetensors")
    assert (status, "a results folder, whose files are sealed" in errors) == (1, True)


def test_what_networks_say_of_each_example_is_written_and_summed_up(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "set_up", lambda device: None)
    file = tmp_path / "said.parquet"
    assert cli.main(["predictions", str(root / "kept"), "--only", "placement=pre,seed=0", "--output", str(file)]) == 0
    shown = capsys.readouterr().out
    rows = pl.read_parquet(file)
    assert rows.columns == [
        *("lane_id", "placement", "learning_rate", "seed", "example", "label", "predicted", "probability")
    ]
    lanes = bn.open_results(root / "kept").lanes.filter(placement="pre", seed=0)
    for lane in lanes.rows(named=True):
        mine = rows.filter(lane_id=lane["lane_id"])
        assert mine.height == 90
        assert (mine["label"] == mine["predicted"]).mean() == pytest.approx(lane["final_test_accuracy"], abs=1e-6)
    accuracy = lanes["final_test_accuracy"].mean()
    assert f"2 lanes, test: accuracy {accuracy:.2%}, balanced accuracy" in shown
    assert f"{file}: 180 predictions" in shown
    found = bn.load_lane(root / "kept", {"placement": "pre", "learning_rate": 3.0}, 0).predictions("test")
    labels = rows.filter(learning_rate=3.0)
    assert np.array_equal(found.predicted, labels["predicted"])
    assert np.array_equal(
        found.confusion, sklearn.metrics.confusion_matrix(found.labels, found.predicted, labels=range(10))
    )
    recall = sklearn.metrics.recall_score(found.labels, found.predicted, labels=range(10), average=None)
    np.testing.assert_allclose(found.class_accuracy, recall)
    balanced = sklearn.metrics.balanced_accuracy_score(found.labels, found.predicted)
    assert found.balanced_accuracy == pytest.approx(balanced)


def test_calibration_by_hand() -> None:
    """Two of four right at confidence 0.9, and one of one at 0.6; one example without an answer counts as wrong."""
    said = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]])
    found = Predictions(np.arange(5), np.array([0, 0, 1, 1, 1]), said)
    assert found.predicted.tolist() == [0, 0, 0, 0, 1]
    assert found.calibration_error == pytest.approx((4 * 0.4 + 1 * 0.4) / 5)
    assert found.confusion.tolist() == [[2, 0], [2, 1]]
    lost = Predictions(np.arange(2), np.array([0, 0]), np.array([[np.nan, np.nan], [0.7, 0.3]]))
    assert (lost.predicted.tolist(), lost.confusion.tolist()) == ([-1, 0], [[1, 0], [0, 0]])
    assert lost.class_accuracy[0] == 0.5
    assert np.isnan(lost.class_accuracy[1])
    assert lost.balanced_accuracy == 0.5
    assert np.isnan(lost.calibration_error)


def test_weights_that_are_damaged_are_named(root: Path, tmp_path: Path) -> None:
    results = Path(shutil.copytree(root / "kept", tmp_path / "kept"))
    (file,) = results.glob(f"shards/*/{WEIGHTS}")
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(bn.ResultsError, match=re.escape(f"{file}: its content has changed since it was written")):
        bn.load_lane(results, {"placement": "pre", "learning_rate": 3.0}, 1)
    file.unlink()
    with pytest.raises(bn.ResultsError, match=re.escape(f"{file}: cannot be read")):
        bn.load_lane(results, {"placement": "pre", "learning_rate": 3.0}, 1)


# The format, and other frameworks.


def test_files_are_those_that_the_library_writes(tmp_path: Path) -> None:
    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a/x": np.array(2.5, np.float32),
        "i": np.array([1, -2]),
    }
    file = tmp_path / "some.safetensors"
    write_tensors(file, tensors, {"about": 'a "thing" of é'})
    assert file.read_bytes() == base64.b64decode(TORCH["by_library"])
    read = read_tensors(file)
    assert read.keys() == tensors.keys()
    assert all(
        np.array_equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors
    )
    assert read_about(file) == {"about": 'a "thing" of é'}
    for cut in (5, 100, len(file.read_bytes()) - 1):
        (tmp_path / "cut").write_bytes(file.read_bytes()[:cut])
        with pytest.raises(ValueError, match="is no file of the safetensors format, or damaged"):
            read_tensors(tmp_path / "cut")
    with pytest.raises(KeyError, match="nothing"):
        read_tensors(file, ["b", "nothing"])


def test_texts_stand_in_their_order_and_arrays_in_that_of_c(tmp_path: Path) -> None:
    """The library has its texts in another order in each process, and files must be the same bytes."""
    about = {f"key {i}": f"é\n{i}" for i in range(30)}
    tensors = {"turned": np.arange(12.0).reshape(3, 4).T, "strided": np.arange(9, dtype=np.int8)[::2]}
    write_tensors(tmp_path / "some", tensors, about)
    raw = (tmp_path / "some").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert (list(header["__metadata__"].items()), length % 8) == (list(about.items()), 0)
    assert read_about(tmp_path / "some") == about
    read = read_tensors(tmp_path / "some")
    assert all(np.array_equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    "recorded",
    [pytest.param(lane, marks=pytest.mark.slow if i == 1 else ()) for i, lane in enumerate(TORCH["lanes"])],
    ids=["mlp-pre", "mlp-post", "cnn-pre"],
)
def test_pytorch_computes_the_same_by_the_code_of_the_page(recorded: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(base64.b64decode(recorded["file"]))
    about = {name: json.loads(text) for name, text in read_about(file).items() if name in ("network", "settings")}
    settings = LaneSettings.model_validate_json(json.dumps(about["settings"]))
    image, classes = tuple(about["network"]["image"]), about["network"]["classes"]
    weights = LaneWeights(read_tensors(file), about)
    assert names_in_use(settings, image, classes) == weights.tensors.keys() - {"input/mean", "input/std"}
    program = program_of([settings], image, classes)
    factors = lane_factors(settings, program.structure)
    x = (np.asarray(recorded["images"], np.float32) - weights.tensors["input/mean"]) / weights.tensors["input/std"]
    apply = jax.jit(partial(program.network.apply, train=False))
    logits = apply(jax.tree.map(jnp.asarray, weights.variables), jnp.asarray(x), factors)
    np.testing.assert_allclose(logits, recorded["logits"], rtol=1e-4, atol=1e-5)


def test_flax_own_layers_compute_the_same_by_the_code_of_the_page(root: Path) -> None:
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Perceptron" in code)
    code: dict[str, Any] = {"__name__": __name__}
    exec(compile(block, "docs/weights.md", "exec"), code)
    lane = bn.load_lane(root / "kept", {"placement": "pre", "learning_rate": 3.0}, 0)
    images, _ = lane.examples("test")
    theirs = code["Perceptron"]((8, 8), 10).apply(code["for_flax"](lane.variables, 2), images)
    np.testing.assert_allclose(theirs, lane.logits(images), rtol=1e-4, atol=1e-4)
    assert jax.tree.leaves(lane.variables)
    assert pl.Series(np.asarray(theirs).argmax(1)).n_unique() > 1
