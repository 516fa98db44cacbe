"""Figures that tell the story of a claim by themselves: a module for each."""

from __future__ import annotations

from pathlib import Path

from bn_ablate.analysis.figures.style import Chart, styled
from bn_ablate.config.claims import FIGURES
from bn_ablate.config.extensions import ExtensionError
from bn_ablate.config.gathered import modules_of
from bn_ablate.results import Results

modules_of(__name__, __path__)


@styled
def claim_figure(results: Results) -> Chart | None:
    """The figure of the claim that the study is about; nothing where it lacks the axes or the numbers.

    Nor where it is a user's own, and its file was not loaded.

    Raises:
        ExtensionError: a user's own gives no `Chart`.
    """
    name = _figure_of(results)
    figure = FIGURES.get(name)
    varied = {axis for axis, levels in results.axes.items() if len(levels) > 1}
    if figure is None or not figure.axes <= varied:
        return None
    chart = figure.draw(results)
    if not isinstance(chart, Chart | None):
        raise ExtensionError(f"the figure {name!r} gives a {type(chart).__name__}: it should give a bn.Chart, or None")
    return chart and chart._replace(name="claim")


def not_drawn(results: Results, folder: Path | str = "DIR") -> str:
    """What to do where the claim's figure is a user's own, whose file was not loaded; nothing elsewhere.

    `folder` is what to call that of the results.
    """
    name = _figure_of(results)
    if not name or name in FIGURES:
        return ""
    file = next((of.file for of in results.study.extensions if name in of.provides.get(FIGURES.kind, ())), "FILE")
    return (
        f"the figure {name!r} of the claim {results.study.claim} is not drawn, since no file is run that came with "
        f"results: `bn-ablate report {folder} --extension {file}` draws it"
    )


def _figure_of(results: Results) -> str:
    claim = results.study.known_claims.get(results.study.claim)
    return claim.figure if claim else ""
