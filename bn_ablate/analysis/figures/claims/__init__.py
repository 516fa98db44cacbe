"""One figure for each claim, which tells its story by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bn_ablate.analysis.figures.claims.c1_saturation import saturation
from bn_ablate.analysis.figures.claims.c2_affine import affine
from bn_ablate.analysis.figures.claims.c3_gradients import gradients
from bn_ablate.analysis.figures.claims.c4_regularization import regularization
from bn_ablate.analysis.figures.claims.c5_units_off import units_off
from bn_ablate.analysis.figures.claims.c6_dropout import dropout
from bn_ablate.analysis.figures.claims.c7_placement import placement
from bn_ablate.analysis.figures.claims.c8_coverage import coverage
from bn_ablate.analysis.figures.style import Chart
from bn_ablate.results import Results

Draw = Callable[[Results], Chart | None]

CLAIMS: Mapping[str, tuple[frozenset[str], Draw]] = {
    "C1": (frozenset({"placement", "activation"}), saturation),
    "C2": (frozenset({"placement", "affine"}), affine),
    "C3": (frozenset({"placement", "depth"}), gradients),
    "C4": (frozenset({"placement", "dropout_rate"}), regularization),
    "C5": (frozenset({"placement", "trainable"}), units_off),
    "C6": (frozenset({"placement", "dropout_rate"}), dropout),
    "C7": (frozenset({"placement", "activation"}), placement),
    "C8": (frozenset({"coverage"}), coverage),
}
"""By claim: the axes without which there is nothing to draw, and the figure."""


def claim_figure(results: Results) -> Chart | None:
    """The figure of the claim that the study is about; nothing where it lacks the axes or the numbers."""
    needs, draw = CLAIMS.get(str(results.study.claim or ""), (frozenset(), lambda _: None))
    varied = {axis for axis, levels in results.axes.items() if len(levels) > 1}
    return draw(results) if needs <= varied else None
