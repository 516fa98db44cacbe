"""From stored results to verdicts, figures, tables and a report.

Everything here reads `Results` alone and trains nothing. The names below are loaded when first used, since the modules
behind them bring SciPy, polars and Matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bn_ablate.analysis.board import write_board
    from bn_ablate.analysis.cells import cell_table
    from bn_ablate.analysis.claims import combine_claims, write_combined_claims
    from bn_ablate.analysis.descriptive import (
        described,
        iqm,
        performance_profile,
        probability_of_improvement,
        scores_of,
    )
    from bn_ablate.analysis.hypotheses import analyze, write_claims
    from bn_ablate.analysis.pairs import beside, markdown
    from bn_ablate.analysis.paper import write_paper
    from bn_ablate.analysis.report import write_report

__all__ = [
    "analyze",
    "beside",
    "cell_table",
    "combine_claims",
    "described",
    "iqm",
    "markdown",
    "performance_profile",
    "probability_of_improvement",
    "scores_of",
    "write_board",
    "write_claims",
    "write_combined_claims",
    "write_paper",
    "write_report",
]

_HOME = {
    "analyze": "hypotheses",
    "beside": "pairs",
    "cell_table": "cells",
    "combine_claims": "claims",
    "described": "descriptive",
    "iqm": "descriptive",
    "markdown": "pairs",
    "performance_profile": "descriptive",
    "probability_of_improvement": "descriptive",
    "scores_of": "descriptive",
    "write_board": "board",
    "write_claims": "hypotheses",
    "write_combined_claims": "claims",
    "write_paper": "paper",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
