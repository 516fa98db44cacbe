"""Which results there are in a folder: those of whole studies, of parts of them, and of quick runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bn_ablate.config.given import place
from bn_ablate.results.files import ResultsError
from bn_ablate.results.manifest import MANIFEST
from bn_ablate.results.reader import open_results


def results_in(root: str | Path) -> list[Path]:
    """The results folders in `root`, by name; `root` itself, if it is one."""
    root = place(root)
    if (root / MANIFEST).is_file():
        return [root]
    return sorted(file.parent for file in root.glob(f"*/{MANIFEST}"))


def of_studies(folders: Iterable[str | Path]) -> list[Path]:
    """`folders`, where one that holds results folders stands for those in it that are of whole studies.

    Raises:
        ResultsError: one holds nothing of a whole study.
    """
    return [study for folder in folders for study in _studies(place(folder))]


def _studies(folder: Path) -> Iterator[Path]:
    there = results_in(folder)
    if there == [folder] or not folder.is_dir():
        yield folder
        return
    found = [study for study in there if not open_results(study).manifest.keys() & {"part", "part_of", "quick"}]
    if not found:
        raise ResultsError(f"{folder}: holds no results of a whole study; `bn-ablate run ablate` makes some")
    yield from found
