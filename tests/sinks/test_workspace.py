"""Views and reports, as they are sent; what the service shows of them cannot be seen here."""

from __future__ import annotations

import builtins
import json
from typing import Any

import pytest

from bn_ablate.analysis import write_claims
from bn_ablate.results import Results
from bn_ablate.sinks import SinkError
from bn_ablate.sinks.workspace import save_workspace
from tests.sinks.server import ENTITY, Run, Service


def test_a_view_groups_by_placement_and_rate_and_charts_the_main_figures(results: Results, service: Service) -> None:
    url = save_workspace(results.path, "view", project="mine")
    (view,) = service.views
    assert (view["entityName"], view["projectName"], view["type"]) == (ENTITY, "mine", "project-view")
    assert view["displayName"] == "small by placement and dropout_rate"
    assert url.startswith(f"{service.url}/{ENTITY}/mine")
    spec = json.loads(view["spec"])["section"]
    sections = {section["name"]: section["panels"] for section in spec["panelBankConfig"]["sections"]}
    assert list(sections) == ["At the end", "Curves", "Layers", "Study"]
    assert [panel["config"]["metrics"] for panel in sections["At the end"] if panel["viewType"] == "Bar Chart"] == [
        ["final_test_accuracy"],
        ["final_test_loss"],
        ["final_train_loss"],
        ["gap"],
        ["underfitting"],
    ]
    charted = [panel["config"]["metrics"] for panel in sections["Layers"]]
    assert ["layers/0/saturated"] in charted
    assert ["layers/1/gradient_norm"] in charted
    (runs,) = spec["runSets"]
    assert [(key["section"], key["name"]) for key in runs["grouping"]] == [
        ("config", "axis/placement.value"),
        ("config", "axis/dropout_rate.value"),
    ]
    assert "small" in json.dumps(runs["filters"])


def test_a_report_has_the_verdicts_and_the_same_panels(results: Results, service: Service) -> None:
    write_claims(results)
    service.runs["mine", "small-study"] = Run()
    save_workspace(results.path, "report", project="mine", entity=ENTITY)
    (report,) = service.views
    assert (report["displayName"], report["type"]) == ("A small study", "runs")
    said = report["spec"]
    assert "| gap.pre | BN narrows the gap. | **" in said
    grids = [block for block in json.loads(said)["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 4
    assert json.dumps(grids[0]).count("axis/placement") >= 1


def test_what_is_missing_is_reported(results: Results, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.fault = lambda name: 403 if name.lower().startswith("upsertview") else None
    with pytest.raises(SinkError, match=r"the view was not saved: .*403"):
        save_workspace(results.path, "view", project="mine", entity=ENTITY)

    imported = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("wandb_workspaces"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SinkError, match=r"pip install 'bn_ablate\[workspaces\]'"):
        save_workspace(results.path, "view")
