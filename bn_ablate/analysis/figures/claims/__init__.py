"""Figures that tell the story of a claim by themselves: a module for each."""

from __future__ import annotations

from bn_ablate.analysis.figures.claims.drawing import ClaimFigure
from bn_ablate.analysis.figures.style import Chart
from bn_ablate.config.gathered import modules_of
from bn_ablate.results import Results

FIGURES = {
    name: figure
    for module in modules_of(__name__, __path__)
    for name, figure in vars(module).items()
    if isinstance(figure, ClaimFigure)
}
"""What a claim calls its figure -> the figure."""


def claim_figure(results: Results) -> Chart | None:
    """The figure of the claim that the study is about; nothing where it lacks the axes or the numbers."""
    claim = results.study.known_claims.get(results.study.claim)
    if claim is None or not claim.figure:
        return None
    figure = FIGURES[claim.figure]
    varied = {axis for axis, levels in results.axes.items() if len(levels) > 1}
    return figure.draw(results) if figure.axes <= varied else None
