"""Results that went to the service come back the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bn_ablate.results import Results, ResultsError, open_results, seal, verify
from bn_ablate.sinks import SinkError, fetch, publish
from tests.results.made_up import listing
from tests.sinks.server import ENTITY, Service

NAME = f"{ENTITY}/bn_ablate/small-results"


def test_another_user_gets_the_very_files(results: Results, service: Service, tmp_path: Path) -> None:
    publish(results.path, "online", lanes=False)
    got = fetch(NAME, tmp_path / "theirs")
    assert got == (tmp_path / "theirs" / "small", f"{NAME}:v0", True)
    shutil.rmtree(results.path / "wandb")
    theirs, ours = ({name: (path / name).read_bytes() for name in listing(path)} for path in (got.path, results.path))
    assert theirs == ours
    assert verify(got.path) == []
    assert open_results(got.path).lanes.equals(results.lanes)
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["small"]
    assert not fetch(NAME, tmp_path / "theirs").new

    (results.path / "report.html").write_text("new")
    seal(results.path)
    publish(results.path, "online", lanes=False)
    with pytest.raises(ResultsError, match="is there already and holds something else; choose another folder"):
        fetch(NAME, tmp_path / "theirs")
    assert fetch(NAME, tmp_path / "newest").artifact == f"{NAME}:v1"
    assert fetch(f"{NAME}:v0", tmp_path / "oldest").artifact == f"{NAME}:v0"
    assert not (tmp_path / "oldest" / "small" / "report.html").exists()


def test_what_is_damaged_or_none_is_named_and_leaves_nothing(
    results: Results, service: Service, tmp_path: Path
) -> None:
    (results.path / "report.html").write_text("one")
    seal(results.path)
    (results.path / "report.html").write_text("two")
    publish(results.path, "online", lanes=False)
    for name, said in (
        ("small-results", "is not of the form ENTITY/PROJECT/ARTIFACT, as in me/bn_ablate/ablate-results"),
        (NAME, "small-results:v0 is damaged: report.html: its content has changed since it was written"),
        (f"{NAME}:v7", "could not be fetched: .*small-results:v7"),
        (f"{ENTITY}/bn_ablate/run-small-study-cells", "is of type 'run_table', not a study's results"),
    ):
        with pytest.raises(SinkError, match=said):
            fetch(name, tmp_path / "theirs")
    assert list((tmp_path / "theirs").iterdir()) == []


def test_without_a_key_nothing_is_asked(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(SinkError, match="there is no API key: run `wandb login`"):
        fetch(NAME, tmp_path / "theirs")
    assert service.requests == []


def test_a_half_finished_study_comes_back_half_finished(results: Results, service: Service, tmp_path: Path) -> None:
    manifest = json.loads((results.path / "manifest.json").read_text())
    (results.path / "manifest.json").write_text(json.dumps(manifest | {"status": "interrupted"}))
    publish(results.path, "online", lanes=False)
    got = fetch(NAME, tmp_path / "theirs")
    assert verify(got.path) == ["the run is not complete: its status is 'interrupted'; `bn-ablate run` resumes it"]
