"""The figures of a study, as PDF, SVG and PNG."""

from __future__ import annotations

from collections.abc import Iterator

from bn_ablate.analysis.figures.against import against, numeric_axes
from bn_ablate.analysis.figures.aggregates import aggregates
from bn_ablate.analysis.figures.claims import claim_figure
from bn_ablate.analysis.figures.forest import forest
from bn_ablate.analysis.figures.learning_curves import learning_curves
from bn_ablate.analysis.figures.measures_by_layer import layers
from bn_ablate.analysis.figures.overview import overview
from bn_ablate.analysis.figures.steep_region import steep_region
from bn_ablate.analysis.figures.style import Chart, image, styled
from bn_ablate.results import Results

__all__ = ["FORMATS", "Chart", "charts", "image", "images", "laid_out", "panelled"]

FORMATS = ("pdf", "svg", "png")


def charts(results: Results) -> Iterator[Chart]:
    """Every figure that the study has the axes and the numbers for, the main one first; drawn one by one."""
    yield from (chart for chart in _drawn(results) if chart is not None)


def _drawn(results: Results) -> Iterator[Chart | None]:
    yield claim_figure(results)
    yield forest(results)
    yield from (against(results, axis, "accuracy") for axis in _numbers(results))
    yield overview(results)
    yield aggregates(results)
    yield learning_curves(results)
    yield from (against(results, "dropout_rate", what) for what in ("gap", "underfitting"))
    yield steep_region(results)
    yield layers(results)
    yield from (layers(results, measure) for measure in results.study.own_measures)


def panelled(results: Results, by: str) -> Iterator[Chart]:
    """The figures that have a panel for each activation, with one for each level of the axis `by` instead."""
    yield from (chart for chart in _panelled(results, by) if chart is not None)


def _panelled(results: Results, by: str) -> Iterator[Chart | None]:
    yield from (against(results, axis, "accuracy", by) for axis in _numbers(results))
    yield learning_curves(results, by)
    yield from (against(results, "dropout_rate", what, by) for what in ("gap", "underfitting"))


def _numbers(results: Results) -> list[str]:
    """The axes of numbers, the dropout rate first."""
    return sorted(numeric_axes(results), key=lambda axis: axis != "dropout_rate")


def images(drawn: list[Chart]) -> dict[str, bytes]:
    """Every chart in every format: names of files, and their content."""
    return {f"{chart.name}.{form}": image(chart, form) for chart in map(laid_out, drawn) for form in FORMATS}


@styled
def laid_out(chart: Chart) -> Chart:
    """The chart with everything in its place, which stays the same whatever settings it is drawn with later."""
    engine = chart.figure.get_layout_engine()
    if engine is not None:
        engine.execute(chart.figure)
    chart.figure.set_layout_engine("none")
    return chart
