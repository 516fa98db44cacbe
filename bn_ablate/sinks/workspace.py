"""A saved view and a report in W&B, with the panels of a study's main figures. Needs the extra `workspaces`."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from bn_ablate.config.measures import CURVES, LOSS
from bn_ablate.results import Results, open_results
from bn_ablate.sinks import run_names
from bn_ablate.sinks.fetch import API_TIMEOUT
from bn_ablate.sinks.session import DEFAULT_PROJECT
from bn_ablate.sinks.setup import own_project, quiet_wandb, require_key
from bn_ablate.sinks.sink_error import SinkError, calling_wandb, unusable

Kind = Literal["report", "view"]

GROUP_AXES = ("placement", "dropout_rate")
"""Runs are grouped by these, where a study has them, and else by its first two axes."""

ENDS = ("final_test_accuracy", "final_test_loss", "final_train_loss", "gap", "underfitting")
LAYER_MEASURES = ("saturated", "in_band", "zero_share", "gradient_norm")
"""What is charted, as far as the study has it."""


def save_workspace(path: str | Path, kind: Kind, *, project: str | None = None, entity: str | None = None) -> str:
    """Make a view or a report of the study in the results folder `path`; return its address.

    What the service makes of it cannot be tried without the service: the tests see only what is sent.

    Raises:
        ResultsError: `path` is not a results folder, or a table in it is missing or damaged.
        SinkError: wandb-workspaces is not installed, there is no key, or W&B does not take it.
    """
    results = open_results(path)
    _library()
    with quiet_wandb():
        require_key()
        with calling_wandb(lambda error: unusable(error, f"the {kind} was not saved")):
            import wandb

            owner = entity or wandb.Api(timeout=API_TIMEOUT).default_entity
            make = _report if kind == "report" else _view
            made = make(results, project or own_project() or DEFAULT_PROJECT, str(owner))
            made.save()
    return str(made.url)


def group_axes(results: Results) -> list[str]:
    """The axes that runs are grouped by."""
    return [axis for axis in GROUP_AXES if axis in results.axes] or [*results.axes][:2]


def _view(results: Results, project: str, entity: str) -> Any:
    ws, wr, expr = _library()
    sections = [
        ws.Section(name=name, panels=panels, is_open=True, pinned=name == "Study")
        for name, panels in _panels(wr, results).items()
    ]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"{results.name} by {' and '.join(group_axes(results)) or 'run'}",
        sections=sections,
        settings=ws.WorkspaceSettings(x_axis="step", max_runs=100),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(expr.Config("study") == results.name),
            groupby=[expr.Config(f"axis/{axis}") for axis in group_axes(results)],
        ),
    )


def _report(results: Results, project: str, entity: str) -> Any:
    _, wr, _ = _library()
    of_study = f"Config('study') = '{results.name}'"
    lanes = wr.Runset(
        entity=entity,
        project=project,
        name="lanes",
        filters=f"{of_study} and JobType = 'lane'",
        groupby=[f"config.axis/{axis}" for axis in group_axes(results)],
    )
    study = wr.Runset(entity=entity, project=project, name="study", filters=f"{of_study} and JobType = 'study'")
    blocks: list[Any] = [wr.TableOfContents()]
    blocks += [wr.MarkdownBlock(text=f"**Caution: {caveat}.**") for caveat in results.caveats]
    if results.claims:
        blocks += [wr.H1("Verdicts"), wr.MarkdownBlock(text=_verdicts(results))]
    for name, panels in _panels(wr, results).items():
        blocks += [wr.H1(name), wr.PanelGrid(runsets=[study if name == "Study" else lanes], panels=panels)]
    return wr.Report(
        entity=entity,
        project=project,
        title=run_names.shortened(results.study.title or results.name, run_names.LONGEST_NAME),
        description=f"Study {results.name}: {results.networks.height} lanes",
        blocks=blocks,
        width="fluid",
    )


def _panels(wr: ModuleType, results: Results) -> dict[str, list[Any]]:
    """The panels by section: results at the end over the axes, learning curves, layers, and the study's own run."""
    lanes, axes = results.lanes, group_axes(results)
    ends = [name for name in ENDS if name in lanes.columns and not lanes[name].is_null().all()]
    losses_first = sorted(CURVES, key=lambda of: of.unit is not LOSS)
    curves = [of for of in losses_first if of.name in results.scan("history").collect_schema()]
    measures = [name for name in LAYER_MEASURES if name in results.scan("layers").collect_schema()]
    depth = max(results.axes.get("depth", (results.study.model.depth,)))
    shown = sorted({0, depth // 2, depth - 1})
    along = axes[-1] if axes else "lane_id"
    return {
        "At the end": [
            *(
                wr.BarPlot(title=name, metrics=[name], groupby_aggfunc="mean", groupby_rangefunc="stderr")
                for name in ends
            ),
            *(
                wr.ScatterPlot(title=f"{name} over {along}", x=wr.Config(f"axis/{along}"), y=wr.SummaryMetric(name))
                for name in ends[:1]
                if axes
            ),
        ],
        "Curves": [
            wr.LinePlot(title=of.name, x="step", y=[of.name], log_y=of.unit is LOSS, groupby_aggfunc="mean")
            for of in curves
        ],
        "Layers": [
            wr.LinePlot(
                title=f"{measure}, block {layer}",
                x="step",
                y=[f"layers/{layer}/{measure}"],
                log_y=measure == "gradient_norm",
                groupby_aggfunc="mean",
            )
            for measure in measures
            for layer in shown
        ],
        "Study": [
            wr.MediaBrowser(title="Figures", media_keys=[f"figures/{file.stem}" for file in _figures(results)]),
            wr.WeavePanelSummaryTable(table_name="verdicts"),
            wr.WeavePanelSummaryTable(table_name="cells"),
        ],
    }


def _figures(results: Results) -> list[Path]:
    return sorted((results.path / "figures").glob("*.png"))


def _verdicts(results: Results) -> str:
    """The verdicts as a Markdown table."""
    rows = [
        f"| {claim['id']} | {claim['statement'].replace('|', '/')} | **{claim['verdict']}** |"
        for claim in results.claims
    ]
    return "\n".join(["| hypothesis | statement | verdict |", "|---|---|---|", *rows])


def _library() -> tuple[ModuleType, ModuleType, ModuleType]:
    """wandb-workspaces' modules of views, reports and expressions."""
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # it uses pydantic's old names
            import wandb_workspaces.expr as expr
            import wandb_workspaces.reports.v2 as reports
            import wandb_workspaces.workspaces as workspaces
    except ImportError as error:
        raise SinkError(
            "W&B's views and reports need wandb-workspaces, which is not installed: pip install 'bn_ablate[workspaces]'"
        ) from error
    return workspaces, reports, expr
