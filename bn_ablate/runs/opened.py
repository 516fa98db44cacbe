"""Results that are there already, for scripts and notebooks: with their verdicts and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bn_ablate import results
from bn_ablate.analysis.judged import judged

if TYPE_CHECKING:
    from bn_ablate.analysis.judged import JudgedResults


def open_results(path: str | Path) -> JudgedResults:
    """The results in the folder `path`.

    Raises:
        ResultsError: it is not a results folder, a link is in it, or its manifest cannot be read.
    """
    return judged(results.open_results(path))


def merge(folders: Sequence[str | Path], into: str | Path) -> JudgedResults:
    """Put the parts of a study in `folders` together in the results folder `into`; the parts stay as they are.

    The tables are those of one run, byte for byte, where lanes are trained one by one. It may be repeated.

    Raises:
        ResultsError: a part is missing, there twice, not complete, damaged, of another study, or of other code,
            versions or data than the others; or `into` holds something else. All of it is named.
    """
    return judged(results.merge(folders, into))
