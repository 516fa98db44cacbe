"""A wandb that starts anew in each test, with no key, no settings and no folders but the test's own."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bn_ablate.results import Results, open_results
from tests.sinks.server import Service
from tests.synthetic import write_results

KEY = "0123456789abcdef" * 2 + "f00dcafe"

STUDY: dict[str, Any] = {
    "name": "small",
    "title": "A small study",
    "claim": "C6",
    "seeds": 2,
    "train": {"steps": 100},
    "model": {"depth": 2},
    "axes": {"dropout_rate": [0.0, 0.5], "placement": ["none", "pre"]},
    "hypotheses": [
        {
            "id": "gap.pre",
            "claim": "C4",
            "kind": "contrast",
            "statement": "BN narrows the gap.",
            "metric": "gap",
            "alternative": "less",
            "a": {"placement": "pre"},
            "b": {"placement": "none"},
        }
    ],
}


@pytest.fixture(autouse=True)
def wandb_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    for kind in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{kind}_DIR", str(home / kind.lower()))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    forget_wandb()  # what tests elsewhere made it read: settings are read once, and kept
    gc.freeze()  # else the collection below would look at all that JAX has
    yield
    forget_wandb()
    gc.collect()  # what warns as it goes, as a pipe that wandb left open, warns in the test that left it


def forget_wandb() -> None:
    """End wandb's own process, if there is one, and forget the settings that it has read."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the results of eight lanes, one of them diverged."""

    def diverges(levels: dict[str, Any], seed: int) -> bool:
        return levels == {"placement": "none", "dropout_rate": 0.5} and seed == 1

    return write_results(tmp_path_factory.mktemp("made") / "small", STUDY, diverged=diverges).path


@pytest.fixture
def results(small: Path, tmp_path: Path) -> Results:
    """A copy of the results of eight lanes, to be changed."""
    return open_results(shutil.copytree(small, tmp_path / "results" / "small"))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service on loopback, with a key for it in the environment."""
    service = Service()
    monkeypatch.setenv("WANDB_BASE_URL", service.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield service
    service.close()
