"""Results of runs that are at work, were killed, or were quick: every command that shows them says so, or refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bn_ablate.engine import Engine
from bn_ablate.results import Store, locked, open_results
from tests.cli.command_line import TINY, Bn, run
from tests.results.made_up import listing

CLAIMED = TINY.replace('id = "faster"', 'id = "faster"\nclaim = "C4"')
QUICK = "this is a --quick run, of 2 seeds and a few steps: its numbers and verdicts mean nothing"
RUNNING = "the run is not complete: its status is 'running'; `bn-ablate run` resumes it"
READERS: dict[str, Callable[[Path, Path], list[object]]] = {
    "claims": lambda folder, out: ["claims", folder, "--output", out / "claims.json"],
    "paper": lambda folder, out: ["paper", folder, "--output", out / "paper"],
    "compare": lambda folder, out: ["compare", folder, folder],
    "compare as Markdown": lambda folder, out: ["compare", folder, folder, "--format", "markdown"],
    "sync": lambda folder, out: ["sync", folder, "--wandb", "offline", "--only", "seed=0"],
    "report": lambda folder, out: ["report", folder],
}


@pytest.fixture(scope="module")
def claimed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("claimed")


@pytest.fixture
def folder(bn: Bn, claimed: Path, tmp_path: Path) -> Path:
    """A copy of complete results of a study with a claim."""
    if not (claimed / "results").exists():
        (claimed / "tiny.toml").write_text(CLAIMED)
        run(bn, claimed / "tiny.toml", claimed / "results")
    shutil.copytree(claimed / "results", tmp_path / "results")
    return tmp_path / "results" / "tiny"


def set_status(folder: Path, status: str) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"status": status}))


def on_one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("reader", READERS)
def test_readers_say_that_a_run_is_not_complete(bn: Bn, folder: Path, tmp_path: Path, reader: str) -> None:
    set_status(folder, "running")
    done = bn(*READERS[reader](folder, tmp_path))
    assert done.status == 0, done.err
    assert RUNNING in on_one_line(done.out)


@pytest.mark.parametrize("reader", READERS)
def test_readers_say_that_a_run_is_at_work(bn: Bn, folder: Path, tmp_path: Path, reader: str) -> None:
    with locked(folder):
        before = listing(folder)
        done = bn(*READERS[reader](folder, tmp_path))
        after = listing(folder)
    assert "is at work on it" in on_one_line(done.out + done.err)
    if reader == "report":  # it writes, and so waits for its turn
        assert done.status == 1
        assert after == before
    else:
        assert done.status == 0, done.err


def test_verify_says_that_a_run_is_at_work(bn: Bn, folder: Path) -> None:
    assert bn("verify", folder).status == 0
    with locked(folder):
        done = bn("verify", folder)
    assert done.status == 1
    assert "is at work on it: what is here may change at any moment" in done.err


def test_what_a_killed_extension_left_is_not_read_as_its_results(
    bn: Bn, claimed: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run has written its manifest, and not its tables: those there are of the smaller study before it."""
    more = ["run", claimed / "tiny.toml", "--results", folder.parent, "--wandb", "disabled"]
    more += ["--set", "axes.learning_rate=[0.01, 0.1, 0.2, 0.3]"]
    with monkeypatch.context() as killed:
        killed.setattr(Engine, "run", lambda *args, **more: 1 / 0)
        killed.setattr(Store, "publish", lambda *args: None)
        with pytest.raises(ZeroDivisionError):
            bn(*more)
    assert "files" not in open_results(folder).manifest
    before = listing(folder)
    for name, command in READERS.items():
        done = bn(*command(folder, tmp_path))
        assert done.status == 1, name
        assert "is of an earlier run than the manifest is: the run is not complete: its status is 'running'" in done.err
        assert listing(folder) == before, name
    assert bn("verify", folder).status == 1
    assert bn(*more).status == 0
    assert bn("report", folder).status == 0
    assert open_results(folder).lanes.height == 8


def test_verdicts_on_other_lanes_are_not_taken_for_those_on_these(bn: Bn, folder: Path, tmp_path: Path) -> None:
    file = folder / "claims.json"
    said = json.loads(file.read_text())
    assert said["judged"] == open_results(folder).judged
    file.write_text(json.dumps(said | {"judged": said["judged"] | {"lanes_sha256": "of others"}}))
    done = bn("claims", folder, "--output", tmp_path / "claims.json")
    assert done.status == 1
    assert (
        f"has verdicts on other lanes, or of another study, than are here now; `bn-ablate report {folder}`" in done.err
    )
    assert bn("report", folder).status == 0
    assert bn("claims", folder, "--output", tmp_path / "claims.json").status == 0


def test_a_report_that_fails_writes_nothing(bn: Bn, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listing(folder)
    monkeypatch.setattr("bn_ablate.analysis.pages.report.html_page", lambda *args: 1 / 0)
    monkeypatch.setattr("bn_ablate.analysis.pages.report.claims_text", lambda *args: "changed")
    with pytest.raises(ZeroDivisionError):
        bn("report", folder)
    assert listing(folder) == before


def test_a_quick_run_says_so_wherever_it_is_shown(bn: Bn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bn_ablate.plan.parts.QUICK_STEPS", 4)  # those of the study, whose programs are compiled
    config = tmp_path / "tiny.toml"
    config.write_text(CLAIMED)
    assert QUICK in on_one_line(run(bn, config, tmp_path / "results", "--quick"))
    folder = tmp_path / "results" / "tiny-quick"
    assert open_results(folder).manifest["quick"] is True
    for name, command in READERS.items():
        done = bn(*command(folder, tmp_path))
        assert done.status == 0, done.err
        assert QUICK in on_one_line(done.out), name
    done = bn("verify", folder)
    assert (done.status, QUICK in on_one_line(done.out)) == (0, True)
    assert QUICK in (folder / "report.html").read_text()
    assert QUICK in (tmp_path / "claims.html").read_text()
    assert json.loads((tmp_path / "claims.json").read_text())["caveats"] == [f"tiny-quick: {QUICK}"]
    paper = tmp_path / "paper"
    for file in ("claims.tex", "tables/tiny-quick.tex", "METHODS.md", "numbers.tex", "PROVENANCE.json"):
        assert "a --quick run, of 2 seeds" in (paper / file).read_text(), file
    assert "a --quick run, of 2 seeds" in (folder / "tables" / "verdicts.tex").read_text()
