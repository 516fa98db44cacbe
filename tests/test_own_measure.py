"""A measure of a user's own: taken by layer, stored, judged, and read again without the file that computes it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import polars as pl
import pytest

import bn_ablate as bn
from bn_ablate.analysis.figures.measures_by_layer import layers
from bn_ablate.analysis.judge.judging import judge
from bn_ablate.analysis.judge.shown import texts
from bn_ablate.config import ExtensionError, extensions
from bn_ablate.config.measures import MEASURES
from bn_ablate.plan import make_plan
from bn_ablate.results import Store, compare
from bn_ablate.results.finished import CHECKSUMS
from bn_ablate.sinks.content import lane_contents

OWN = """
import bn_ablate as bn, jax.numpy as jnp

@bn.measured("off", label="share that is off", definition="share of |a| < 1e-12", unit="fraction", better="lower")
def off(a, z):
    assert a.shape == z.shape
    return jnp.mean(jnp.abs(a) < 1e-12)

@bn.measured("middle", definition="mean of z")
def middle(z):
    return jnp.mean(z)

@bn.measured("unasked", definition="what no study asks for")
def unasked(z):
    raise RuntimeError("was traced")
"""
TABLE: dict[str, Any] = {
    "name": "own",
    "seeds": 3,
    "data": {"n_train": 60, "n_validation": 20, "n_test": 30},
    "model": {"depth": 2, "width": 6},
    "train": {"steps": 4, "batch_size": 16, "learning_rate": 0.01},
    "measure": {"every": 2, "probe": 32, "also": ["off", "percentiles", "middle"]},
    "axes": {"placement": ["none", "pre"]},
    "hypotheses": [
        {
            "id": "h",
            "kind": "contrast",
            "statement": "s",
            "metric": "off",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        }
    ],
}


def forget_all() -> None:
    for path in tuple(extensions.LOADED):
        extensions.forget(path)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("own") / "mine.py"
    written.write_text(OWN)
    return written


@pytest.fixture(scope="module")
def folder(file: Path) -> Path:
    """Results of a study with measures of its own; nothing of the file is loaded any more."""
    done = bn.run(bn.build_study(TABLE, extensions=[file]), file.parent / "results")
    forget_all()
    return done.path


@pytest.fixture
def loaded(file: Path) -> None:
    bn.load_extension(file)


@pytest.fixture(autouse=True)
def _forgotten(request: pytest.FixtureRequest) -> Any:
    yield
    forget_all()


def test_it_is_taken_of_every_layer_at_every_measurement(folder: Path) -> None:
    """The formulas are those of two measures of ours, which are in columns beside them."""
    results = bn.open_results(folder)
    rows = results.layers
    assert rows.height == 6 * 3 * 2
    assert rows["off"].to_list() == pytest.approx(rows["zero_share"].to_list(), abs=1e-7)
    assert rows["middle"].to_list() == pytest.approx(rows["mean"].to_list(), rel=1e-5, abs=1e-7)
    assert rows["off"].n_unique() > 10
    assert "unasked" not in rows.columns


def test_lanes_come_to_the_same_by_it_as_by_ours(folder: Path) -> None:
    lanes = bn.open_results(folder).lanes
    for form in ("{}", "{}_start", "first_{}", "first_{}_start"):
        assert lanes[form.format("off")].to_list() == pytest.approx(lanes[form.format("zero_share")].to_list())


def test_results_are_read_without_the_file(folder: Path) -> None:
    assert not extensions.LOADED
    assert "off" not in MEASURES
    results = bn.open_results(folder)
    assert bn.verify(folder) == []
    off = results.study.quantity("first_off")
    assert (off.label, off.unit.shown, off.better) == ("share that is off, first layer", "%", "lower")
    assert results.study.tables["layers"]["middle"].definition == "mean of z"
    assert results.study.measure.also == ("percentiles", "middle", "off")
    (record,) = judge(results.study, results.lanes)
    assert record["estimand"].startswith("Mean share that is off over placement pre")
    asks_nothing = TABLE | {"measure": {}, "hypotheses": [TABLE["hypotheses"][0] | {"metric": "zero_share"}]}
    (ours,) = judge(bn.build_study(asks_nothing), results.lanes)
    assert (record["estimate"], record["unit"]) == (pytest.approx(ours["estimate"]), "fraction")
    assert texts(json.loads(json.dumps(record))) == texts(ours)
    table = compare(results, results)
    assert table is not None
    assert table.filter(pl.col("column").is_in(["off", "first_off_start"]))["values"].to_list() == [6, 6, 36]
    figure = layers(results, "off")
    assert figure is not None
    assert (figure.name, figure.figure.get_supylabel()) == ("layers_off", "Share that is off (%)")
    (content,) = lane_contents(results, [results.networks["lane_id"][0]])
    assert {"layers/0/off", "layers/1/middle"} <= content.history[0].keys()
    assert {"off", "first_middle_start"} <= content.summary.keys()


@pytest.mark.parametrize(("table", "change", "said"), [
    ("layers", lambda rows: rows.drop("off"), "has no column 'off'"),
    ("lanes", lambda rows: rows.drop("first_off"), "has no column 'first_off'"),
    ("layers", lambda rows: rows.with_columns(more=1.0), "has a column 'more'"),
])  # fmt: skip
def test_a_shard_with_a_missing_or_a_strange_column_is_refused(
    folder: Path, tmp_path: Path, table: str, change: Any, said: str
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "own"))
    (shard,) = (copy / "shards").iterdir()
    changed = shard / f"{table}.parquet"
    change(pl.read_parquet(changed)).write_parquet(changed)
    sums = json.loads((shard / CHECKSUMS).read_text())
    sums[changed.name] = hashlib.sha256(changed.read_bytes()).hexdigest()
    (shard / CHECKSUMS).write_text(json.dumps(sums))
    with pytest.raises(bn.ResultsError, match=said):
        Store(copy).publish(make_plan(bn.open_results(folder).study), {})


def test_the_source_is_in_the_ids_of_lanes_that_ask_for_it_and_of_no_others(file: Path, tmp_path: Path) -> None:
    def ids(source: Path, *also: str) -> list[str]:
        table = TABLE | {"measure": TABLE["measure"] | {"also": list(also)}, "hypotheses": []}
        return [lane.id for lane in make_plan(bn.build_study(table, extensions=[source])).lanes]

    other = tmp_path / "mine.py"
    other.write_text(OWN + "\n# another\n")
    plain, asked = ids(file), ids(file, "off", "middle")
    assert asked == ids(file, "middle", "off")
    forget_all()
    assert not set(asked) & set(plain)
    assert (ids(other) == plain, set(ids(other, "off", "middle")) & set(asked)) == (True, set())


@pytest.mark.usefixtures("loaded")
def test_studies_know_its_names() -> None:
    with pytest.raises(bn.ConfigError, match=r"'of' is none of .*, off, middle, unasked; did you mean 'off'"):
        bn.build_study(TABLE | {"measure": {"also": ["of"]}})
    with pytest.raises(bn.ConfigError, match=r"'first_of' is none of the \d+ metrics.*; did you mean 'first_off'"):
        bn.build_study(TABLE | {"hypotheses": [TABLE["hypotheses"][0] | {"metric": "first_of"}]})
    with pytest.raises(bn.ConfigError, match=r"'unasked_start' is only measured where measure.also lists 'unasked'"):
        bn.build_study(TABLE | {"hypotheses": [TABLE["hypotheses"][0] | {"metric": "unasked_start"}]})


@pytest.mark.parametrize(("name", "said"), [
    ("std", "'std' is a column of the tables already"),
    ("gap", "'gap' is a column of the tables already"),
    ("activation", "'activation' is a column of the tables already"),
    ("dead", "'dead' is one of bn_ablate's own"),
    ("first_z", "without first_ at its"),
    ("My", "lower-case letters"),
])  # fmt: skip
def test_a_name_that_would_give_a_column_twice_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        bn.measured(name, definition="d")(lambda z: z.mean())
    declared = {name: {"definition": "d", "label": "l"}}
    extension = {"file": "a.py", "sha256": "0" * 64, "provides": {"measure": [name]}, "measures": declared}
    with pytest.raises(bn.ConfigError, match=said):  # as of results that came from elsewhere
        bn.build_study(TABLE | {"extensions": [extension]}, trusted=False)


def test_a_formula_that_cannot_be_taken_says_why() -> None:
    with pytest.raises(ValueError, match="the measure 'odd' asks for 'w': it can see z, a, slope"):
        bn.measured("odd", definition="d")(lambda z, w: z.mean())
    with pytest.raises(ValueError, match="the measure 'odd' needs a definition"):
        bn.measured("odd")(lambda z: z.mean())

    def wide(z: Any) -> Any:
        return z.mean(0)

    bn.measured("wide", definition="d")(wide)
    with pytest.raises(ExtensionError, match=r"'wide' gives an array of shape \(6,\): it should give one number"):
        jax.eval_shape(MEASURES["wide"].formula, np.ones((32, 6)))
    MEASURES.remove(MEASURES.origin("wide"))  # type: ignore[arg-type]
