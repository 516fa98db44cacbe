"""The command line, as the tests start it, and a study small enough to be run by it."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
[data]
n_train = 60
n_validation = 100
n_test = 100

[model]
depth = 1
width = 8

[train]
steps = 4
batch_size = 16

[measure]
every = 2
"""
"""The sections of a study whose networks are trained in an instant."""

TINY = f"""
name = "tiny"
title = "A [bold]tiny[/] study"
seeds = 2
{SMALL}
[axes]
learning_rate = [0.01, 0.1]

[[hypotheses]]
id = "faster"
kind = "contrast"
statement = "A higher rate trains faster [/]"
metric = "final_train_loss"
a = {{ learning_rate = 0.1 }}
b = {{ learning_rate = 0.01 }}
alternative = "less"
"""


TABLE: dict[str, Any] = tomllib.loads(TINY)
"""The same study as a table: who trains it, at these levels or two others, finds its programs compiled."""


class Done(NamedTuple):
    status: int
    out: str
    err: str


Bn = Callable[..., Done]


def command(*args: object) -> dict[str, Any]:
    """How to start a process with these arguments of Python, wherever it starts."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = os.environ | {"PYTHONPATH": path}
    return {"args": [sys.executable, *map(str, args)], "env": environment, "text": True}


def run(bn: Bn, config: Path, results: Path, *args: object) -> str:
    """Run the study `config` in this process, which must go well, and return what it printed."""
    done = bn("run", config, "--results", results, "--wandb", "disabled", *args)
    assert done.status == 0, done.err
    return done.out
