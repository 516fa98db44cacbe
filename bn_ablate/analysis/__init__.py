"""From stored results to verdicts, figures, tables and a report.

Everything here reads `Results` alone and trains nothing. The names below are loaded when first used, since the modules
behind them bring SciPy, polars and Matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bn_ablate.analysis.judge.cells import cell_table
    from bn_ablate.analysis.judge.claims import combine_claims, write_combined_claims
    from bn_ablate.analysis.judge.descriptive import (
        described,
        iqm,
        performance_profile,
        probability_of_improvement,
        scores_of,
    )
    from bn_ablate.analysis.judge.judging import analyze, write_claims
    from bn_ablate.analysis.judge.places import atlas
    from bn_ablate.analysis.judge.replication import replicate
    from bn_ablate.analysis.pages.atlas_files import write_atlas
    from bn_ablate.analysis.pages.board import write_board
    from bn_ablate.analysis.pages.earlier import report_at
    from bn_ablate.analysis.pages.pairs import beside, markdown
    from bn_ablate.analysis.pages.paper import write_paper
    from bn_ablate.analysis.pages.report import write_report

__all__ = [
    "analyze",
    "atlas",
    "beside",
    "cell_table",
    "combine_claims",
    "described",
    "iqm",
    "markdown",
    "performance_profile",
    "probability_of_improvement",
    "replicate",
    "report_at",
    "scores_of",
    "write_atlas",
    "write_board",
    "write_claims",
    "write_combined_claims",
    "write_paper",
    "write_report",
]

_HOME = {
    "analyze": "judge.judging",
    "atlas": "judge.places",
    "beside": "pages.pairs",
    "cell_table": "judge.cells",
    "combine_claims": "judge.claims",
    "described": "judge.descriptive",
    "iqm": "judge.descriptive",
    "markdown": "pages.pairs",
    "performance_profile": "judge.descriptive",
    "probability_of_improvement": "judge.descriptive",
    "replicate": "judge.replication",
    "report_at": "pages.earlier",
    "scores_of": "judge.descriptive",
    "write_atlas": "pages.atlas_files",
    "write_board": "pages.board",
    "write_claims": "judge.judging",
    "write_combined_claims": "judge.claims",
    "write_paper": "pages.paper",
    "write_report": "pages.report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
