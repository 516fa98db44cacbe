"""How tests differ from use: what is compiled otherwise, and drawn less of, than a run would."""

from __future__ import annotations

import pytest


def compiled_as_by_users(patch: pytest.MonkeyPatch) -> None:
    """With XLA's newer emitters lanes are the same to the bit however many are trained; the older round otherwise."""
    from bn_ablate.engine import programs

    patch.setattr(programs, "compiler_options", lambda device: {"xla_cpu_use_fusion_emitters": True})


def few_figures(patch: pytest.MonkeyPatch) -> None:
    """Drawing is most of what a report takes: reports get one figure, papers none; `tests/analysis` asks for all."""
    from bn_ablate.analysis import figures
    from bn_ablate.analysis.figures.learning_curves import learning_curves
    from bn_ablate.analysis.pages import paper, report

    patch.setattr(figures, "FORMATS", ("svg",))
    patch.setattr(report, "charts", lambda results: filter(None, [learning_curves(results)]))
    for draw in ("claim_figure", "forest", "overview", "aggregates"):
        patch.setattr(paper, draw, lambda results: None)
