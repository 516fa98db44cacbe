"""A results folder may be reached through a link; within it there may be none, and nothing is done through one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bn_ablate.analysis import write_report
from bn_ablate.results import ResultsError, Store, open_results, seal, verify
from bn_ablate.results.files import TEMPORARY, sha256_of, sweep, write_text
from tests.results.made_up import listing, manifest_of, plan_of, published, record, tables_of


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "precious").write_text("untouched")
    return folder


def test_a_results_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "results").mkdir()
    place = tmp_path / "results" / "study"
    place.symlink_to(tmp_path / "large disk")
    published(place)
    assert verify(place) == []
    assert open_results(place).lanes.height == 8
    assert place.is_symlink()
    assert (tmp_path / "large disk" / "lanes.parquet").is_file()


@pytest.mark.parametrize("name", ["lanes.parquet", "figures", "shards", "checkpoints", "figures/gap.svg", "wandb"])
def test_a_link_within_is_named_and_nothing_goes_through_it(tmp_path: Path, elsewhere: Path, name: str) -> None:
    folder = tmp_path / "study"
    store = published(folder)
    link = folder / name
    target = elsewhere if "." not in name else elsewhere / "precious"
    link.parent.mkdir(exist_ok=True)
    if link.exists():
        link.rename(tmp_path / "moved")
    link.symlink_to(target)
    told = f"{link}: is a symbolic link, and nothing within a results folder may be one"
    for refusing in (open_results, write_report, lambda path: Store(path).open()):
        with pytest.raises(ResultsError, match=f"^{told}"):
            refusing(folder)
    assert any(problem.startswith(f"{name}: is a symbolic link") for problem in verify(folder))
    seal(folder)
    assert not any(sealed.startswith(name) and "precious" in sealed for sealed in sealed_by(folder))
    if name == "shards":
        store.clear()
    assert listing(elsewhere) == {"precious": b"untouched"}


def sealed_by(folder: Path) -> list[str]:
    return list(json.loads((folder / "manifest.json").read_text())["files"])


def test_a_link_to_the_very_content_is_found_too(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    published(folder)
    table = folder / "lanes.parquet"
    table.rename(tmp_path / "lanes.parquet")
    table.symlink_to(tmp_path / "lanes.parquet")
    assert sha256_of(table) == json.loads((folder / "manifest.json").read_text())["files"]["lanes.parquet"]
    assert [problem.partition(",")[0] for problem in verify(folder)] == ["lanes.parquet: is a symbolic link"]


def test_a_file_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "text").symlink_to(elsewhere / "precious")
    write_text(tmp_path / "text", "new")
    assert not (tmp_path / "text").is_symlink()
    assert listing(elsewhere) == {"precious": b"untouched"}


def test_what_is_swept_or_cleared_is_the_link(tmp_path: Path, elsewhere: Path) -> None:
    store = published(tmp_path / "study")
    (store.path / f"{TEMPORARY}folder").symlink_to(elsewhere)
    (store.path / "shards" / f"{TEMPORARY}file").symlink_to(elsewhere / "precious")
    sweep(store.path)
    assert verify(store.path) == []
    (store.path / "more").symlink_to(elsewhere)
    store.clear()
    assert list(store.path.iterdir()) == []
    assert listing(elsewhere) == {"precious": b"untouched"}


def test_a_shard_goes_through_no_link(tmp_path: Path, elsewhere: Path) -> None:
    store = published(tmp_path / "study")
    (store.shards / "more").symlink_to(elsewhere / "nowhere")
    with pytest.raises(ResultsError, match="more: cannot be written"):
        store.add_shard("more", tables_of(plan_of(seeds=[7]).lanes), record())
    assert listing(elsewhere) == {"precious": b"untouched"}


def edited_study(folder: Path) -> None:
    manifest = manifest_of(plan_of(), study="../../elsewhere", files={})
    (folder / "manifest.json").write_text(json.dumps(manifest))


def edited_claims(folder: Path) -> None:
    (folder / "claims.json").write_text(json.dumps({"hypotheses": [{"id": r"h}\input{/etc/passwd}"}]}))


@pytest.mark.parametrize(
    ("edit", "telling"),
    [(edited_study, r"'\.\./\.\./elsewhere' is no name of a study"), (edited_claims, "is no id of a hypothesis")],
)
def test_names_that_files_and_macros_would_get_are_refused(
    tmp_path: Path, edit: Callable[[Path], None], telling: str
) -> None:
    published(tmp_path)
    edit(tmp_path)
    with pytest.raises(ResultsError, match=telling):
        _ = open_results(tmp_path).claims
