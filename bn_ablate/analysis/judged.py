"""Finished results that judge, draw and show themselves when asked to: what scripts and notebooks are given."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bn_ablate.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bn_ablate.analysis.figures import Chart


class JudgedResults(Results):
    """`Results` with their verdicts and figures, made when first asked for; nothing is written.

    A notebook shows them as a table of verdicts.

    Examples:
        >>> results = bn.open_results("results/ablate")
        >>> results.lanes.select("placement", "seed", "final_test_accuracy").shape
        (12, 3)
        >>> results.claims[0]["id"], results.claims[0]["verdict"]
        ('pre-wins', 'supported')
    """

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        """A record per hypothesis, judged now, on the lanes and the study that are here: as `write_report` would.

        Raises:
            ResultsError: a run is at work, or the lanes are missing or were changed.
        """
        from bn_ablate.analysis.judge.judging import analyze

        return analyze(self)

    def figures(self) -> dict[str, Figure]:
        """Every figure of the report, as Matplotlib's, by its name, the main one first.

        Raises:
            ResultsError: as `claims` does.
        """
        from bn_ablate.analysis.figures import charts, laid_out

        return {chart.name: laid_out(chart).figure for chart in charts(self)}

    def plot(self, name: str, by: str = "activation") -> Chart:
        """The figure of that name, as `accuracy_vs_dropout`: a notebook shows it, and its `figure` is Matplotlib's.

        Figures of accuracy, losses and gaps have a panel per activation, or per level of another axis, named by `by`.

        Raises:
            ConfigError: the study has no such figure, or axis; the message names those that it has.
            ResultsError: as `claims` does.
        """
        from bn_ablate.analysis.figures import charts, laid_out, panelled
        from bn_ablate.config.errors import ConfigError, Problem, one_of

        if by not in ("activation", *self.axes):
            raise ConfigError("call", [Problem("by", one_of(by, self.axes))])
        known = []
        for chart in charts(self) if by == "activation" else panelled(self, by):
            if chart.name == name:
                return laid_out(chart)
            known.append(chart.name)
        raise ConfigError("call", [Problem("plot", one_of(name, known))])

    def _repr_html_(self) -> str:
        from bn_ablate.analysis.pages.notebook import results_html

        return results_html(self)


def judged(results: Results) -> JudgedResults:
    """The same results, which judge themselves."""
    return JudgedResults(results.path, results.manifest)
