"""From the store to Weights & Biases: one run per lane, and one for the study."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bn_ablate.config.given import place
from bn_ablate.config.only import check_only
from bn_ablate.results import Results, open_results
from bn_ablate.sinks.content import lane_contents, study_content
from bn_ablate.sinks.modes import Mode, asked_mode
from bn_ablate.sinks.record import SentRecord
from bn_ablate.sinks.session import Session, open_session
from bn_ablate.sinks.setup import configured_mode, has_key, quiet_wandb, refuse_sweep, require_key
from bn_ablate.sinks.sink_error import SinkError, sync_command
from bn_ablate.sinks.transfer import Transfer, send_all


@dataclass(frozen=True)
class SyncReport:
    """What became of a study in W&B.

    Attributes:
        mode: what was really used.
        lanes: lanes written or sent by this call.
        unchanged: lanes left alone, because they were there already.
        study_run: whether this call wrote or sent the study's run.
        directory: where offline runs lie.
        url: the address of the study's run.
        message: what to tell the user, with how to send lanes later, and what is to be known of the results.
    """

    mode: Literal["online", "offline", "disabled"]
    lanes: int
    unchanged: int
    study_run: bool
    directory: Path | None
    url: str | None
    message: str


def check(mode: Mode, *, sweep: bool = False) -> None:
    """Find out, without asking the server, whether W&B can be used as `mode` says: before there is anything to send.

    With `sweep` it is for the one run that a W&B agent has opened for this process.

    Raises:
        SinkError: there is no key for `online`, wandb does not take what the environment or its settings files say, or
            `mode` is none.
    """
    wanted = asked_mode(mode)
    if wanted == "disabled":
        return
    with quiet_wandb():
        if not sweep:
            refuse_sweep()
        if wanted == "online":
            require_key(", or choose --wandb offline.")


def publish(
    path: str | Path,
    mode: Mode = "auto",
    *,
    lanes: bool | None = None,
    project: str | None = None,
    entity: str | None = None,
    only: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SyncReport:
    """Send the results in the folder `path` to W&B, or write them as offline runs; all of it comes from the store.

    Run ids depend on the study and the lane alone, and what was sent is on record: a second call changes nothing, and
    resumes an interrupted one. A run that the caller has open is left as it is.

    Args:
        path: the results folder.
        mode: `online` and `offline` do so for the study and every lane; `auto` follows `WANDB_MODE`, and without it is
            online where there is an API key, and else writes the study's run alone, offline; `disabled` does nothing.
        lanes: whether every lane gets its run; by default as `mode` says.
        project: the W&B project; by default W&B's own setting, or `bn_ablate`.
        entity: the W&B user or team; by default W&B's own setting.
        only: axis (or `seed`) -> a level or a list of levels; lanes elsewhere are left out.
        progress: is called with the number of runs done and of all runs, after each.

    Raises:
        ConfigError: `only` names an axis or a level that the study has not.
        ResultsError: `path` is not a results folder, or a table in it is missing or damaged.
        SinkError: there is no key for `online`, the server does not answer or refuses, or `mode` is none.
    """
    path = place(path)
    wanted = asked_mode(mode)
    if wanted == "disabled":
        return _disabled()
    results = open_results(path)
    chosen = _chosen(results, only or {})

    with _kept(path), quiet_wandb() as warnings:
        if wanted == "auto":
            wanted = configured_mode()
        if wanted == "disabled":
            return _disabled()
        key = wanted != "offline" and has_key()
        if wanted == "online" and not key:
            require_key(", or choose offline mode.")
        ids = chosen if lanes or (lanes is None and (key or wanted == "offline")) else set()
        study = study_content(results)
        with open_session(path, "online" if key else "offline", project, entity, warnings) as session:
            destination, url = session.locate(study)
            record = SentRecord(session.folder / "sent.json", destination)
            contents = itertools.chain([study], lane_contents(results, ids))
            done = send_all(session, record, contents, lambda n: progress and progress(n, 1 + len(ids)))
    return _report(session, done, study.id, url, results.caveats)


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    """Add to an error where the results are, and how they are sent later, unless it says so."""
    try:
        yield
    except SinkError as error:
        sync = sync_command(path)
        if sync in str(error):
            raise
        raise SinkError(f"{error} The results are in {path}, and {sync} sends them later.", error.reason) from error


def _report(session: Session, done: Transfer, study_id: str, url: str | None, caveats: list[str]) -> SyncReport:
    lanes, unchanged = len(done.sent - {study_id}), len(done.unchanged - {study_id})
    new = ["the study's run"] * (study_id in done.sent) + [_count(lanes, "lane")] * (lanes > 0)
    what = " and ".join(new) or "nothing new"
    before = f" ({_count(len(done.unchanged), 'run')} unchanged)" if done.unchanged else ""
    directory = session.folder if session.mode == "offline" else None
    sync = sync_command(session.results)
    if session.mode == "online":
        message = f"sent {what}{before}: {url}"
    elif lanes or unchanged:
        message = f"wrote {what}{before} to {directory}; {sync} sends it all."
    else:
        message = f"wrote {what}{before} to {directory}; `wandb login`, then {sync} sends it with every lane."
    said = "\n".join([f"Weights & Biases: {message}", *(f"Caution: {caveat}." for caveat in caveats)])
    return SyncReport(session.mode, lanes, unchanged, study_id in done.sent, directory, url, said)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _disabled() -> SyncReport:
    return SyncReport("disabled", 0, 0, False, None, None, "Weights & Biases: disabled.")


def _chosen(results: Results, only: Mapping[str, Any]) -> set[str]:
    """The ids of the lanes at the levels that `only` names."""
    wanted = check_only(results.study, only)
    rows = results.lanes.iter_rows(named=True)
    return {row["lane_id"] for row in rows if all(row[axis] in levels for axis, levels in wanted.items())}
