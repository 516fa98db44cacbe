"""What the environment or a settings file says and wandb does not take is named, before training where W&B is asked."""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bn_ablate import analysis, engine
from bn_ablate.cli import main as cli
from bn_ablate.results import Results
from bn_ablate.runs import run as study
from bn_ablate.sinks import SinkError, check, fetch, publish, setup
from bn_ablate.sinks.sweep import publish_cell
from bn_ablate.sinks.workspace import save_workspace
from tests.cli.command_line import TINY
from tests.sinks.conftest import KEY
from tests.sinks.server import Service

REFUSED = {
    "WANDB_BASE_URL": ("not a url", "relative URL without a base"),
    "WANDB_PROJECT": ("a/b", "Invalid project name"),
    "WANDB_SILENT": ("maybe", "valid boolean"),
    "WANDB_INIT_TIMEOUT": ("soon", "valid number"),
    "WANDB_RUN_ID": ("a/b?", "cannot contain the characters"),
    "WANDB__SERVICE_WAIT": ("x", "valid number"),
    "WANDB_API_KEY": (" ", "cannot start or end with whitespace"),
    "WANDB_SUMMARY_TIMEOUT": ("99999999999", "out of range"),
    "WANDB_NOTES": (os.fsdecode(b"\xff"), "surrogates not allowed"),
    "WANDB_CONSOLE": ("", "'auto', 'off'"),
}
OF_EACH_KIND = ("WANDB_BASE_URL", "WANDB__SERVICE_WAIT", "WANDB_API_KEY", "WANDB_NOTES")
"""One that a validator of wandb's refuses, one of the service's, the key, and one that is no text."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OF_EACH_KIND else pytest.mark.slow) for name in REFUSED]
)
def test_a_variable_that_wandb_does_not_take_is_named(
    results: Results, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    value, why = REFUSED[name]
    monkeypatch.setenv(name, value)
    modes: tuple[Any, ...] = ("auto", "offline", "online")
    for call in (check, partial(publish, results.path)):
        for mode in modes:
            with pytest.raises(SinkError, match=f"{name}: .*`unset {name}`") as error:
                call(mode)
            assert why in str(error.value)
    assert f"`bn-ablate sync {results.path}` sends them later" in str(error.value)
    assert capfd.readouterr() == ("", "")
    monkeypatch.delenv(name)
    assert publish(results.path, "offline", lanes=False).study_run


@pytest.mark.parametrize("junk", ["maybe", " ", "-1", "", "a/b?", "99999999999999999999", os.fsdecode(b"\xff")])
def test_every_setting_of_wandb_is_taken_or_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], junk: str
) -> None:
    """All fields of its settings at once, as variables; those that it does take alone, without the others."""
    import wandb

    names = {f"WANDB_{field.removeprefix('x').upper()}" for field in wandb.Settings.model_fields}
    with pytest.MonkeyPatch.context() as patch:
        for name in names - {"WANDB_MODE"}:
            patch.setenv(name, junk)
        with pytest.raises(SinkError, match="Correct them, or `unset WANDB_") as error:
            check("offline")
    named = {name for name in names if f"{name}: " in str(error.value)}
    assert len(named) > 60
    for name in names - named - {"WANDB_MODE", "WANDB_SWEEP_ID"}:
        monkeypatch.setenv(name, junk)
    check("offline")
    assert "Traceback" not in capfd.readouterr().err


def test_an_address_without_such_a_port_is_named(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:99999")
    for call in (
        lambda: publish(results.path, "online"),
        lambda: fetch("me/bn_ablate/small-results", results.path.parent),
        lambda: publish_cell(results.path),
        lambda: save_workspace(results.path, "view"),
    ):
        with pytest.raises(SinkError, match=r"WANDB_BASE_URL: .*port|shows one cell"):
            call()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "[default]\nproject = a/b\n", r"config/settings: project: Invalid project name", marks=pytest.mark.slow
        ),
        ("[default]\nbase_url = not a url\nmode = offline\n", r"config/settings: base_url: .*relative URL"),
        pytest.param("[default]\ncolour = blue\n", r"config/settings: colour: Extra inputs", marks=pytest.mark.slow),
        ("mode = offline\n", r"Error reading settings at .*config/settings"),
        ("[default]\nmode = \xff\n", r"can't decode byte"),
    ],
)
def test_a_settings_file_that_wandb_would_leave_out_is_named(
    results: Results, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """wandb goes on without it, after a traceback on the screen: also where it asks for no connection."""
    file = tmp_path / "home" / "config" / "settings"
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    for _ in range(2):
        with pytest.raises(SinkError, match=said):
            publish(results.path)
        assert "Traceback" not in capfd.readouterr().err
        sys.modules["wandb"].errors.term._printed_messages.clear()
    file.write_text("[default]\nmode = dryrun\n")
    assert publish(results.path, only={"seed": 0, "placement": "pre"}).mode == "offline"


def test_settings_that_exclude_each_other_are_named(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_FORK_FROM", "other?_step=1")
    monkeypatch.setenv("WANDB_RESUME", "must")
    for _ in range(2):
        with pytest.raises(SinkError, match=r"mutually exclusive.* that are set: .*WANDB_FORK_FROM, WANDB_RESUME"):
            publish(results.path, "offline")


@pytest.mark.parametrize("module", ["wandb.init", "wandb.termsetup", "wandb.sdk.wandb_setup.singleton"])
def test_nothing_of_wandb_gets_past_the_door(results: Results, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    import wandb  # noqa: F401

    def broken(*args: object, **settings: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(module, broken)
    with pytest.raises(SinkError, match=r"out of order.*`bn-ablate sync .*`") as error:
        publish(results.path, "offline")
    assert "out of order" in error.value.reason
    monkeypatch.undo()


@pytest.fixture
def command(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Any:
    """`bn-ablate run` with the given words, in this process, and what it printed; its training is over at once."""
    import wandb

    config, trained = tmp_path / "tiny.toml", list[str]()
    config.write_text(TINY)

    def train(plan: object, *args: object, **how: object) -> Results:
        trained.append("trained")
        return results

    monkeypatch.setattr(engine, "set_up", lambda device: None)
    monkeypatch.setattr(analysis, "write_report", lambda path: [])
    for module in ("rerun", "stored_weights"):  # imported while `run` is another, they would keep that
        importlib.import_module(f"bn_ablate.runs.{module}")
    monkeypatch.setattr(study, "run", train)

    def call(*words: str) -> tuple[int, bool, str]:
        trained.clear()
        wandb.teardown()  # as in a process of its own
        capfd.readouterr()
        status = cli.main(["run", str(config), "--results", str(tmp_path / "results"), *words])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return status, bool(trained), out + err

    return call


def test_a_run_learns_it_before_training_where_it_asks_for_wandb(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` asks for nothing: the study is trained, and the command ends well, with a sentence."""
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "soon")
    for mode in ("online", "offline"):
        status, trained, said = command("--wandb", mode)
        assert (status, trained) == (1, False)
        assert said.count("`unset WANDB_INIT_TIMEOUT`") == 1
    status, trained, said = command()
    assert (status, trained) == (0, True)
    assert said.count("`unset WANDB_INIT_TIMEOUT`") == 1
    assert command("--wandb", "disabled")[:2] == (0, True)
    monkeypatch.delenv("WANDB_INIT_TIMEOUT")
    status, trained, said = command("--wandb", "online")
    assert (status, trained) == (1, False)
    assert "there is no API key: run `wandb login`" in said
    monkeypatch.setenv("WANDB_SWEEP_ID", "abc")
    assert command("--wandb", "offline")[:2] == (1, False)
    monkeypatch.setenv("WANDB_MODE", "ofline")
    assert command()[:2] == (0, True)


def test_wandb_that_fails_after_training_is_an_error_where_it_was_asked_for(
    command: Any, results: Results, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "INIT_TIMEOUT", 2.0)
    (results.path / "wandb").write_text("in the way")
    for words, ends in ((("--wandb", "offline"), 1), ((), 0)):
        monkeypatch.setenv("WANDB_MODE", "offline")
        status, trained, said = command(*words)
        assert (status, trained) == (ends, True)
        assert said.count("Nothing is lost") == 1
