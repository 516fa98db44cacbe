"""One case: every peer set up, then rounds of all of them by turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benching.cases import Case
from benching.roster import OURS, Entry
from benching.workers import Worker, WorkerError, write_examples

Say = Callable[[str], None]


@dataclass(frozen=True)
class Conditions:
    """What is common to all cases.

    Attributes:
        rounds: how many.
        round_seconds: about how long a round of a peer lasts that need not train everything.
        platform: JAX's.
        jax_python, torch_python: interpreters of the two environments; None where PyTorch is not installed.
        folder: for the examples.
    """

    rounds: int
    round_seconds: float
    platform: str
    jax_python: Path
    torch_python: Path | None
    folder: Path


def compare(case: Case, entries: list[Entry], conditions: Conditions, say: Say) -> dict[str, Any]:
    """Everything that was measured of `case`, as it is stored.

    `peers` holds, by name: `ready` (see `protocol.Ready`), `rounds` (see `protocol.Timed`), `loss`, `peak_bytes`, and
    ours `estimated_bytes`; or `absent`, the reason why there is nothing.
    """
    write_examples(case, examples_of(case, conditions))
    peers: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}

        def drop(name: str, error: WorkerError) -> None:
            """A peer that fails drops out; but without ours there is nothing to compare."""
            if name == OURS.name:
                raise error
            say(f"{name} failed: {error}")
            peers[name] = {"absent": str(error)}
            workers.pop(name, None)

        for entry in entries:
            if reason := _superfluous(entry, case, peers, conditions):
                peers[entry.name] = {"absent": reason}
                continue
            say(f"{case.name}: setting up {entry.name}")
            worker = stack.enter_context(start(entry, conditions))
            try:
                make(worker, case, conditions)
                peers[entry.name] = {"ready": worker.ask("set_up"), "rounds": []}
                if case.whole:
                    peers[entry.name]["loss"] = worker.ask("check")
                workers[entry.name] = worker
            except WorkerError as error:
                drop(entry.name, error)
        for i in range(conditions.rounds):
            say(f"{case.name}: round {i + 1} of {conditions.rounds}")
            for name, worker in list(workers.items()):
                try:
                    peers[name]["rounds"].append(worker.ask("round"))
                except WorkerError as error:
                    drop(name, error)
        for name, worker in list(workers.items()):
            try:
                peers[name]["peak_bytes"] = worker.ask("peak_bytes")
                if worker.entry.module == OURS.module:
                    peers[name]["estimated_bytes"] = worker.ask("estimated_bytes")
            except WorkerError as error:
                drop(name, error)
    return {"case": case.to_json(), "lanes": case.n_lanes, "peers": peers}


def start(entry: Entry, conditions: Conditions) -> Worker:
    """The process of a peer."""
    python = conditions.torch_python if entry.torch else conditions.jax_python
    assert python is not None
    return Worker(entry, python)


def make(worker: Worker, case: Case, conditions: Conditions, **options: Any) -> None:
    """Make the peer of `worker` for `case`."""
    given: dict[str, Any] = {"round_seconds": conditions.round_seconds, **options}
    worker.make(
        case,
        examples_of(case, conditions),
        **given,
        **({} if worker.entry.torch else {"platform": conditions.platform}),
    )


def examples_of(case: Case, conditions: Conditions) -> Path:
    """Where the examples of `case` are."""
    return conditions.folder / f"{case.name}.npz"


def _superfluous(entry: Entry, case: Case, peers: dict[str, dict[str, Any]], conditions: Conditions) -> str:
    """Why a peer need not be set up, or cannot be; empty when it is to be."""
    if entry.torch and conditions.torch_python is None:
        return "not installed"
    if entry.mlp_only and case.architecture != "mlp":
        return entry.mlp_only
    ours = peers.get(OURS.name, {}).get("ready", {})
    same = {"strategy": ours.get("form"), "at_once": OURS.options["at_once"]}
    if entry is not OURS and entry.module == OURS.module and same.items() <= entry.options.items():
        return "is what `auto` took"
    return ""
