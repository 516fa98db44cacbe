"""How tests differ from use: what is compiled otherwise, and drawn less of, than a run would."""

from __future__ import annotations

import pytest


def begun_as_by_users(patch: pytest.MonkeyPatch) -> None:
    """Initial states are the same to the bit however many are made; compiled without any optimization they are not."""
    from bn_ablate.engine import programs
    from bn_ablate.engine.compiling import hastily

    patch.setattr(programs, "hastily", lambda: hastily(""))


def few_figures(patch: pytest.MonkeyPatch) -> None:
    """Drawing is most of what a report takes: reports get one figure, laid out no further, and papers none.

    `tests/analysis` asks for all.
    """
    from bn_ablate.analysis import figures
    from bn_ablate.analysis.figures import Chart
    from bn_ablate.analysis.figures.learning_curves import learning_curves
    from bn_ablate.analysis.pages import paper, report

    def as_it_is(chart: Chart) -> Chart:
        chart.figure.set_layout_engine("none")
        return chart

    patch.setattr(figures, "FORMATS", ("svg",))
    patch.setattr(figures, "laid_out", as_it_is)
    patch.setattr(report, "charts", lambda results: filter(None, [learning_curves(results)]))
    for draw in ("claim_figure", "forest", "overview", "aggregates"):
        patch.setattr(paper, draw, lambda results: None)
