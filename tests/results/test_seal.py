"""Every change to a results folder is found: by `verify`, and by whoever reads the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bn_ablate.config import ConfigError
from bn_ablate.results import Checkpoints, ResultsError, open_results, seal, verify
from bn_ablate.results.files import TEMPORARY, write_text
from tests.results.made_up import claim, flip, manifest_of, plan_of, provenance, published

TABLES = ("lanes", "history", "layers", "histograms")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete results folder, with a report."""
    path = tmp_path_factory.mktemp("results") / "made-up"
    published(path)
    write_text(path / "report.html", "<p>A report")
    write_text(path / "figures" / "gap.svg", "<svg/>")
    write_text(path / "claims.json", json.dumps({"hypotheses": [claim("h")]}))
    seal(path)
    return path


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(original, tmp_path / "made-up"))


def edit_manifest(path: Path, **changes: object) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_whole_folder_passes(folder: Path) -> None:
    assert verify(folder) == []
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert {"lanes.parquet", "report.html", "figures/gap.svg", "shards/shard-0/checksums.json"} <= files.keys()
    assert "manifest.json" not in files


@pytest.mark.parametrize("name", ["lanes.parquet", "figures/gap.svg", "shards/shard-1/history.parquet"])
@pytest.mark.parametrize("at", [0, -1])
def test_a_flipped_bit_is_found(folder: Path, name: str, at: int) -> None:
    flip(folder / name, at)
    assert verify(folder) == [f"{name}: its content has changed since it was written"]


def test_a_truncated_file_is_found(folder: Path) -> None:
    (folder / "layers.parquet").write_bytes((folder / "layers.parquet").read_bytes()[:100])
    assert verify(folder) == ["layers.parquet: its content has changed since it was written"]


def test_missing_and_extra_files_are_found(folder: Path) -> None:
    (folder / "report.html").unlink()
    (folder / "figures" / "gap.svg").rename(folder / "figures" / "map.svg")
    assert verify(folder) == [
        "figures/gap.svg: is missing",
        "report.html: is missing",
        "figures/map.svg: is not listed in the manifest",
    ]


def test_what_exists_only_while_running_is_not_sealed(folder: Path) -> None:
    for name in ("wandb/offline-run/x", "checkpoints/1", "lock", f"figures/{TEMPORARY}x", f"shards/{TEMPORARY}y/z"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert verify(folder) == []
    seal(folder)
    assert verify(folder) == []


def test_an_unfinished_run_is_reported(folder: Path) -> None:
    edit_manifest(folder, status="interrupted")
    assert verify(folder) == ["the run is not complete: its status is 'interrupted'; `bn-ablate run` resumes it"]


def test_a_changed_file_passes_once_it_is_sealed(folder: Path) -> None:
    write_text(folder / "report.html", "<p>Another report")
    assert verify(folder) == ["report.html: its content has changed since it was written"]
    seal(folder)
    assert verify(folder) == []


@pytest.mark.parametrize("name", ["history.parquet", "shards/shard-0/lanes.parquet"])
def test_sealing_again_passes_no_damaged_table_for_whole(folder: Path, name: str) -> None:
    flip(folder / name)
    seal(folder)
    assert verify(folder) == [f"{name}: its content has changed since it was written"]
    (folder / name).unlink()
    seal(folder)
    assert verify(folder) == [f"{name}: is missing"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"files": []}', b"[" * 10**5])
def test_a_manifest_that_is_none_is_reported(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    for read in (verify, open_results, seal):
        with pytest.raises(ResultsError, match=r"manifest\.json: (cannot be read|is not a manifest)"):
            read(folder)


def test_a_folder_without_a_manifest_is_no_results_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        for read in (verify, open_results, seal):
            with pytest.raises(ResultsError, match=f"^{path}: is not a results folder: it has no manifest.json$"):
                read(path)


@pytest.mark.parametrize("key", ["study", "config", "seeds"])
def test_a_manifest_that_lacks_something_is_reported(folder: Path, key: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest[key]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ResultsError, match=rf"manifest\.json: says nothing of {key}"):
        open_results(folder)


def test_results_are_what_was_stored(folder: Path) -> None:
    results = open_results(str(folder))
    plan = plan_of()
    assert results.name == "made-up"
    assert results.study == plan.study
    assert list(results.axes.items()) == [("placement", ("none", "pre")), ("dropout_rate", (0.0, 0.5))]
    assert results.claims == [claim("h")]
    assert results.manifest["config"] == manifest_of(plan)["config"]
    assert isinstance(results.lanes, pl.DataFrame)


def test_claims_are_empty_before_the_analysis(folder: Path) -> None:
    (folder / "claims.json").unlink()
    assert open_results(folder).claims == []


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_table_is_refused_by_name(folder: Path, table: str, damage: str) -> None:
    file = folder / f"{table}.parquet"
    if damage == "flip":
        flip(file, 8)
    elif damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    results = open_results(folder)
    told = "is missing" if damage == "remove" else "its content has changed since it was written"
    with pytest.raises(ResultsError, match=f"^{file}: {told}; `bn-ablate run` writes it again"):
        getattr(results, table)
    for other in set(TABLES) - {table}:
        assert getattr(results, other).height


def test_a_damaged_table_without_a_seal_is_refused_by_name(folder: Path) -> None:
    edit_manifest(folder, files={})
    (folder / "history.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ResultsError, match=r"history\.parquet: cannot be read \("):
        _ = open_results(folder).history


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"hypotheses": null}'])
def test_damaged_claims_are_refused_by_name(folder: Path, content: str) -> None:
    (folder / "claims.json").write_text(content)
    with pytest.raises(ResultsError, match=r"claims\.json: cannot be read .*`bn-ablate report .*` writes it again"):
        _ = open_results(folder).claims


def test_a_config_that_is_none_is_reported_by_its_file(folder: Path) -> None:
    edit_manifest(folder, config={"name": "x", "sedes": 3})
    with pytest.raises(ConfigError, match=r"manifest\.json: 1 problem\n  sedes: there is no such key"):
        _ = open_results(folder).study


def test_a_damaged_checkpoint_is_found(folder: Path) -> None:
    for name in ("whole", "flipped", "cut"):
        Checkpoints(folder, provenance(), pytest.fail).of(name).save("key", {"x": np.arange(100)})
    assert verify(folder) == []
    flip(folder / "checkpoints" / "flipped.ckpt")
    file = folder / "checkpoints" / "cut.ckpt"
    file.write_bytes(file.read_bytes()[:-300])
    assert verify(folder) == [
        f"checkpoints/{name}.ckpt: its content has changed since it was written; the next run starts its lanes anew"
        for name in ("cut", "flipped")
    ]


def test_what_a_run_had_laid_out_is_read_back_or_reported(folder: Path) -> None:
    told: list[str] = []
    checkpoints = Checkpoints(folder, provenance(), told.append)
    shards = [{"lanes": ["a", "b"], "seeds": [0], "room": 2, "seed_room": 1}]
    assert checkpoints.laid_out() == []
    checkpoints.lay_out(shards)
    assert checkpoints.laid_out() == shards
    assert told == []
    for content in ("{", "[]", "7", '{"format": 2, "shards": [7]}', '{"format": 2, "shards": [{}]}'):
        (folder / "checkpoints" / "shards.json").write_text(content)
        assert checkpoints.laid_out() == []
        assert "shards.json: cannot be read" in told[-1]
    assert len(told) == 5
