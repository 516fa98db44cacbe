"""A results folder back from Weights & Biases, whole and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bn_ablate.config.given import place
from bn_ablate.results import ResultsError, damage, open_results, refuse_inside
from bn_ablate.results.files import TEMPORARY
from bn_ablate.results.manifest import read_manifest
from bn_ablate.sinks.session import ARTIFACT_TYPE
from bn_ablate.sinks.setup import quiet_wandb, require_key
from bn_ablate.sinks.sink_error import SinkError, calling_wandb, unusable

API_TIMEOUT = 30
"""Seconds that W&B may take for an answer."""


class Fetched(NamedTuple):
    """A results folder that came from W&B.

    Attributes:
        path: where it lies.
        artifact: the artifact's full name, with its version.
        new: whether it was brought by this call; it may have been there already.
    """

    path: Path
    artifact: str
    new: bool


def fetch(name: str, results: str | Path = "results") -> Fetched:
    """Bring the results folder that the artifact `ENTITY/PROJECT/ARTIFACT[:VERSION]` holds to `results/<study>/`.

    Without a version it is the latest. The folder appears only when every file is there and has the SHA-256 that the
    manifest gives; a folder with the same content stays as it is.

    Raises:
        SinkError: W&B cannot be asked, has no such artifact, or what came is not a whole results folder.
        ResultsError: the folder cannot be written, or other results are there.
    """
    results = place(results)
    refuse_inside(results)
    with quiet_wandb():
        require_key()
        with _scratch(results) as scratch:
            full_name = _download(name, scratch)
            try:
                study = open_results(scratch).study.name
            except (ResultsError, ValueError) as error:
                raise SinkError(f"Weights & Biases: {full_name} is no results folder of a study: {error}") from error
            if problems := damage(scratch):
                raise SinkError(f"Weights & Biases: {full_name} is damaged: {'; '.join(problems)}")
            target = results / study
            if target.exists():
                _same_or_told(target, scratch)
                return Fetched(target, full_name, new=False)
            scratch.rename(target)
    return Fetched(target, full_name, new=True)


def _download(name: str, folder: Path) -> str:
    import wandb

    if name.count("/") != 2:
        raise SinkError(f"{name!r} is not of the form ENTITY/PROJECT/ARTIFACT, as in me/bn_ablate/ablate-results")
    with calling_wandb(lambda error: unusable(error, f"{name} could not be fetched")):
        api = wandb.Api(overrides={"entity": name.partition("/")[0]}, timeout=API_TIMEOUT)
        artifact = api.artifact(name if ":" in name else f"{name}:latest")
        if artifact.type != ARTIFACT_TYPE:
            raise SinkError(f"Weights & Biases: {name} is of type {artifact.type!r}, not a study's {ARTIFACT_TYPE}")
        artifact.download(root=str(folder), skip_cache=True)
    return f"{name.partition(':')[0]}:{artifact.version}"


@contextmanager
def _scratch(results: Path) -> Iterator[Path]:
    """A folder beside those of studies, gone at the end unless it was renamed."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=TEMPORARY, dir=results, ignore_cleanup_errors=True) as scratch:
            whole = Path(scratch) / "whole"
            whole.mkdir()  # with the permissions that new folders get, where those of a scratch folder are its owner's
            yield whole
    except OSError as error:
        raise ResultsError(f"{results}: cannot be written to: {error.strerror}") from error


def _same_or_told(target: Path, scratch: Path) -> None:
    """Raise an error unless `target` holds just what `scratch` holds."""
    same = (target / "manifest.json").is_file() and read_manifest(target) == read_manifest(scratch)
    if not same or damage(target):
        raise ResultsError(f"{target}: is there already and holds something else; choose another folder with --results")
