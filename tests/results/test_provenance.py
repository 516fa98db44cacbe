"""Where lanes come from: the hash of the sources, what differs, which may be used again, what is said of a mixture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from bn_ablate.config.sources import NO_NUMBERS, ROOT, source_files, source_hash
from bn_ablate.data import load
from bn_ablate.engine import Engine
from bn_ablate.results import ResultsError, Store, open_results, verify
from bn_ablate.results.origins import seeds_text
from bn_ablate.results.provenance import Bearing, provenance_of
from bn_ablate.results.reuse import Old
from bn_ablate.runs.run import run
from tests.results.made_up import finished, manifest_of, plan_of, provenance, record, tables_of


def copied(place: Path) -> Path:
    """The package's sources in another place, as an installed wheel has them."""
    return Path(shutil.copytree(ROOT, place / "installed", ignore=shutil.ignore_patterns("__pycache__")))


def test_the_hash_of_the_sources_is_that_of_their_bytes_wherever_they_lie(tmp_path: Path) -> None:
    installed = copied(tmp_path)
    (installed / "nn" / "__pycache__").mkdir()
    (installed / "nn" / "__pycache__" / "norm.cpython-311.pyc").write_bytes(b"compiled")
    (installed / "nn" / "notes.txt").write_text("no source")
    assert source_hash(installed) == source_hash()


@pytest.mark.parametrize(
    ("change", "file"),
    [
        *((change, "nn/norm.py") for change in ("edit", "add", "remove")),
        *(("edit", file) for file in ("engine/train.py", "data/splits.py", "measure/layers.py", "plan/grid.py")),
    ],
)
def test_the_hash_of_the_sources_follows_what_makes_numbers(tmp_path: Path, file: str, change: str) -> None:
    source = copied(tmp_path) / file
    if change == "edit":
        source.write_text(source.read_text() + "\n")
    elif change == "add":
        source = tmp_path / "installed" / "nn" / "more.py"
        source.write_text("")
    else:
        source.unlink()
    assert source_hash(tmp_path / "installed") != source_hash()


@pytest.mark.parametrize(
    "file", ["analysis/pages/report.py", "sinks/run_names.py", "cli/main.py", "config/errors.py", "runs/run.py"]
)
def test_what_makes_no_numbers_leaves_the_hash_alone(tmp_path: Path, file: str) -> None:
    source = copied(tmp_path) / file
    source.write_text(source.read_text() + "\n")
    assert source_hash(tmp_path / "installed") == source_hash()


def test_every_module_that_makes_a_shard_is_in_the_hash() -> None:
    """What training and tabulating import, without the results' files, the estimate of memory, and bare packages."""
    code = (
        "import sys, bn_ablate.engine, bn_ablate.results.recording.frames, bn_ablate.plan; "
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('bn_ablate')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    loaded = {Path(file).relative_to(ROOT).as_posix() for file in done.stdout.split()}
    apart = loaded - set(source_files()) - {f"{name}.py" for name in NO_NUMBERS}
    folders = ("results/", *(f"{name}/" for name in NO_NUMBERS))
    assert {name for name in apart if not name.startswith(folders)} <= {"__init__.py"}
    for name in source_files():
        assert not name.startswith(("analysis/", "sinks/", "cli"))


def test_the_provenance_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(load("digits"), "map", at_once=3)
    here = provenance_of(engine)
    assert (here.jax, here.device, here.strategy, here.at_once) == (jax.__version__, "cpu", "map", 3)
    assert (here.data, here.code) == (load("digits").sha256, source_hash())
    assert here.options == "jax_default_matmul_precision=highest"  # as all tests have it
    with jax.default_matmul_precision("bfloat16"):
        other = provenance_of(engine)
    assert other.differences(here, Bearing.CODE) == [
        "options of JAX jax_default_matmul_precision=bfloat16, now jax_default_matmul_precision=highest"
    ]


def test_what_differs_is_named_by_its_bearing() -> None:
    here = provenance()
    other = provenance(code="ab" * 32, flax="0.9", data="cd" * 32, strategy="vmap")
    assert other.differences(here, Bearing.CODE) == [f"sources {'ab' * 6}, now {here.code[:12]}", "flax 0.9, now 1.0"]
    assert other.differences(here, Bearing.DATA) == [f"data {'cd' * 6}, now {here.data[:12]}"]
    assert other.differences(here, Bearing.ROUNDING) == ["strategy vmap, now map"]
    assert len(other.differences(here)) == 4
    assert here.differences(here) == []


def mixed(path: Path, *changes: dict[str, str], old: Old = "refuse") -> Store:
    """A store whose lanes are of several origins, each by its changes from what this code would train."""
    plan = plan_of()
    store = Store(path, provenance(), old)
    store.open()
    for part, change in enumerate(changes):
        store.add_shard(f"shard-{part}", tables_of(plan.lanes[part :: len(changes)]), record(**change))
    return store


OTHER = {"code": "ab" * 32}


def test_lanes_of_other_code_or_versions_are_refused_with_both_ways(tmp_path: Path) -> None:
    store = mixed(tmp_path, OTHER, {"optax": "0.2"}, {}, {"strategy": "vmap"})
    with pytest.raises(ResultsError) as caught:
        store.usable(plan_of())
    told = str(caught.value)
    assert told.startswith(f"{tmp_path}: 4 lanes of this study are there already, trained by other code or versions: ")
    assert f"2 lanes: sources {'ab' * 6}, now {source_hash()[:12]}" in told
    assert "2 lanes: optax 0.2, now 1.0" in told
    for way in ("--retrain", "--keep-old", 'old="retrain"', 'old="keep"'):
        assert way in told
    store.old = "keep"
    assert len(store.usable(plan_of())) == 8
    store.old = "retrain"
    assert set(store.usable(plan_of())) == {lane.id for part in (2, 3) for lane in plan_of().lanes[part::4]}


@pytest.mark.parametrize("old", ["refuse", "keep"])
def test_lanes_of_other_data_are_never_kept(tmp_path: Path, old: Old) -> None:
    store = mixed(tmp_path, {"data": "cd" * 32}, {}, old=old)
    with pytest.raises(ResultsError, match=r"4 lanes of this study .* on other data: data (cd){6}, now .*never mixed"):
        store.usable(plan_of())
    store.old = "retrain"
    assert len(store.usable(plan_of())) == 4


GPU = {"device": "gpu H100"}


def by_seed(path: Path, *shards: tuple[int, slice, dict[str, str]], old: Old = "refuse") -> Store:
    """A store in which some lanes of a seed are of the provenance that these changes make."""
    store = Store(path, provenance(), old)
    store.open()
    for i, (seed, some, change) in enumerate(shards):
        mine = [lane for lane in plan_of().lanes if lane.seed == seed][some]
        store.add_shard(f"shard-{i}", tables_of(mine), record(**change))
    return store


EVERY, FIRST, LAST = slice(None), slice(0, 2), slice(2, None)


def test_seeds_that_another_kind_of_device_has_finished_stay_and_those_it_has_begun_are_not_mixed(
    tmp_path: Path,
) -> None:
    finished = by_seed(tmp_path / "finished", (0, EVERY, GPU))
    assert len(finished.usable(plan_of())) == 4
    store = by_seed(tmp_path / "begun", (0, EVERY, GPU), (1, FIRST, GPU))
    with pytest.raises(ResultsError) as caught:
        store.usable(plan_of())
    said = str(caught.value)
    assert said.startswith(f"{store.path}: 2 lanes of seed 1 are there already, trained on gpu H100, and this is cpu: ")
    for way in ("Resume on the kind of device", "--retrain", "--keep-old", 'old="retrain"', 'old="keep"'):
        assert way in said
    store.old = "keep"
    assert len(store.usable(plan_of())) == 6


def test_a_begun_seed_is_trained_anew_whole_however_often_that_is_interrupted(tmp_path: Path) -> None:
    store = by_seed(tmp_path, (0, EVERY, GPU), (1, FIRST, GPU), (1, LAST, {}), old="retrain")
    seed_1 = [lane.id for lane in plan_of().lanes if lane.seed == 1]
    assert store.usable(plan_of()).keys() & set(seed_1) == set(seed_1[2:])
    with pytest.raises(ResultsError, match=r"2 lanes of seed 1 .* on gpu H100, and this is cpu"):
        Store(tmp_path, provenance(), "refuse").usable(plan_of())
    store.add_shard("anew", tables_of(lane for lane in plan_of().lanes if lane.id in seed_1[:2]), record())
    store.drop_superseded()
    assert {folder.name for folder in store.shards.iterdir()} == {"shard-0", "shard-2", "anew"}
    assert len(Store(tmp_path, provenance(), "refuse").usable(plan_of())) == 8


def test_many_seeds_are_named_in_short() -> None:
    assert seeds_text([3]) == "seed 3"
    assert seeds_text([1, 4]) == "the seeds 1 and 4"
    assert seeds_text(range(1000)) == "the seeds 0, 1, 2, 3, 4, 5, 6, 7 and 992 more"


def test_a_run_on_another_kind_of_device_ends_before_it_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, here = plan_of(), provenance_of(Engine(load("digits")))
    store = Store(tmp_path / plan.study.name)
    store.open()
    store.add_shard("begun", tables_of(plan.lanes[:3]), replace(record(), provenance=here))
    of_gpu = replace(here, **GPU)
    monkeypatch.setattr("bn_ablate.results.provenance.provenance_of", lambda engine: of_gpu)
    with pytest.raises(ResultsError, match=r"3 lanes of the seeds 0 and 1 .* on cpu, and this is gpu H100: "):
        run(plan, tmp_path, progress=False)
    assert [folder.name for folder in store.shards.iterdir()] == ["begun"]


def forget(folders: Iterable[Path]) -> None:
    """Leave shards as they were written before there was a provenance."""
    for folder in folders:
        (folder / "provenance.json").unlink()
        sums = json.loads((folder / "checksums.json").read_text())
        del sums["provenance.json"]
        (folder / "checksums.json").write_text(json.dumps(sums))


def test_shards_from_before_provenance_count_as_other_code(tmp_path: Path) -> None:
    store = mixed(tmp_path, {})
    forget(store.shards.iterdir())
    with pytest.raises(ResultsError, match=r"8 lanes .* a version that stored no provenance"):
        store.usable(plan_of())
    store.write_manifest(manifest_of(plan_of(), data={"name": "digits", "sha256": "cd" * 32}))
    store.old = "keep"
    with pytest.raises(ResultsError, match=r"8 lanes .* other data: by the manifest"):
        store.usable(plan_of())
    store.write_manifest(manifest_of(plan_of()))
    assert len(store.usable(plan_of())) == 8
    manifest = store.publish(plan_of(), manifest_of(plan_of(), git={"sha": "c" * 40, "dirty": False}))
    assert manifest["origins"] == [{"lanes": 8, "kept": True, "git": []} | dict.fromkeys(provenance().__annotations__)]
    assert "git" not in manifest
    assert verify(tmp_path) == []


def test_a_mixture_claims_no_one_origin(tmp_path: Path) -> None:
    plan = plan_of()
    store = mixed(tmp_path, OTHER, {}, {}, old="keep")
    manifest = store.publish(plan, manifest_of(plan, strategy="map", git={"sha": "c" * 40, "dirty": False}))
    assert [(origin["lanes"], origin["kept"], origin["code"]) for origin in manifest["origins"]] == [
        (5, False, source_hash()),
        (3, True, "ab" * 32),
    ]
    assert [origin["git"] for origin in manifest["origins"]] == [
        [{"sha": "0" * 40, "dirty": False}],
        [{"sha": "1" * 40, "dirty": False}],
    ]
    assert "git" not in manifest
    assert manifest["strategy"] == "map"
    results = open_results(tmp_path)
    of_other = [lane.id for lane in plan.lanes[::3]]
    assert results.lanes["origin"].to_list() == [int(lane.id in of_other) for lane in plan.lanes]
    assert results.mixture is not None
    assert results.mixture.statement.startswith("3 of 8 lanes were kept (--keep-old), though trained by other code")
    assert results.mixture.heads == ["origin", "lanes", "sources", "git"]
    assert results.mixture.rows == [["0", "5", source_hash()[:12], "0" * 10], ["1", "3 (kept)", "ab" * 6, "1" * 10]]
    assert verify(tmp_path) == []


def test_what_rounds_otherwise_is_mixed_and_said(tmp_path: Path) -> None:
    store = mixed(tmp_path, {"strategy": "vmap", "device": "gpu H100"}, {})
    manifest = store.publish(plan_of(), manifest_of(plan_of(), strategy="map"))
    assert "strategy" not in manifest
    mixture = open_results(tmp_path).mixture
    assert mixture is not None
    assert mixture.statement == (
        "the 8 lanes have 2 origins, with the same code, versions and data: their numbers agree as far as float32 lets "
        "training agree, and not to the bit; all lanes of a seed are of one kind of device, and so is what is paired"
    )
    assert "  lanes 4, device gpu H100, strategy vmap, git 2222222222" in mixture.lines


def test_one_origin_needs_no_words(tmp_path: Path) -> None:
    store = mixed(tmp_path, {}, {})
    manifest = store.publish(plan_of(), manifest_of(plan_of()))
    assert [origin["lanes"] for origin in manifest["origins"]] == [8]
    assert open_results(tmp_path).mixture is None
    assert "origin" not in open_results(tmp_path).lanes.columns


def test_lanes_trained_anew_take_the_place_of_the_old(tmp_path: Path) -> None:
    """Shards all of whose lanes were trained anew are removed; one that holds others too stays for those."""
    plan = plan_of()
    store = mixed(tmp_path, OTHER, OTHER, old="retrain")
    store.add_shard("anew", tables_of(plan.lanes[1:]), record())
    store.drop_superseded()
    assert sorted(shard.folder.name for shard in store.held()) == ["anew", "shard-0"]
    assert finished(store) == {lane.id for lane in plan.lanes}
    store.publish(plan, manifest_of(plan, status="interrupted"))
    assert open_results(tmp_path).lanes["lane_id"].to_list() == [lane.id for lane in plan.lanes[1:]]
    assert {shard.folder.name for shard in store.usable(plan).values()} == {"anew"}


def test_a_manifest_that_lists_other_origins_is_found(tmp_path: Path) -> None:
    store = mixed(tmp_path, OTHER, {}, old="keep")
    store.publish(plan_of(), manifest_of(plan_of()))
    file = tmp_path / "manifest.json"
    file.write_text(file.read_text().replace("ab" * 32, source_hash()))
    (problem,) = verify(tmp_path)
    assert problem.startswith("lanes.parquet: no shard holds the lane")
    assert "with the origin that the manifest gives it" in problem
