"""W&B sweeps: a sweep's configuration for a study, and the run that shows one of its cells."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bn_ablate.config.errors import ConfigError, Problem
from bn_ablate.config.quantity import quantity
from bn_ablate.plan import Plan
from bn_ablate.results import Results, open_results
from bn_ablate.sinks import run_names
from bn_ablate.sinks.content import MAX_POINTS, RunContent, Table, finite, finite_or_none, settings_of, thinned
from bn_ablate.sinks.session import DEFAULT_PROJECT, open_session
from bn_ablate.sinks.setup import quiet_wandb
from bn_ablate.sinks.sink_error import SinkError

METRIC = "final_validation_accuracy"
"""What a sweep looks at: validation data select, test data only report."""


def in_sweep() -> bool:
    """Whether a W&B agent has started this process."""
    return bool(os.environ.get("WANDB_SWEEP_ID"))


def sweep_config(plan: Plan, config: Path, options: Sequence[str] = (), project: str | None = None) -> str:
    """The YAML of a W&B sweep over the cells of `plan`: each call of an agent trains one cell, at all its seeds.

    Every axis is a parameter. Where the study leaves combinations out, which a sweep cannot, its one parameter is
    `only`, with a value per cell. `options` are arguments of `bn-ablate run` that follow the study.

    Raises:
        ConfigError: the study has no validation examples.
    """
    study = plan.study
    if study.data.n_validation == 0:
        problem = Problem("data.n_validation", f"= 0: a sweep looks at {METRIC}, and there is none; give it a number")
        raise ConfigError(study.name, [problem])
    if study.exclude:
        whole = [",".join(f"{axis}={level}" for axis, level in cell.levels.items()) for cell in plan.cells]
        parameters: dict[str, Sequence[Any]] = {"only": whole}
    else:
        # an agent writes what is no string as Python does, which `--only` reads; null would be dropped
        parameters = {axis: ["None" if level is None else level for level in study.axes[axis]] for axis in study.axes}
    lines = [
        f"# {study.name}: {len(plan.cells)} cells of {len(plan.seeds)} seeds. With bn-ablate and {config} at hand:",
        "#   wandb sweep THIS_FILE",
        "#   wandb agent ENTITY/PROJECT/SWEEP",
        f"name: {_scalar(study.name)}",
        f"description: {_scalar(study.title)}",
        f"project: {_scalar(project or DEFAULT_PROJECT)}",
        "method: grid",
        "metric:",
        f"  name: {METRIC}",
        f"  goal: {'maximize' if quantity(METRIC).better == 'higher' else 'minimize'}",
        "parameters:",
    ]
    for name, values in parameters.items():
        lines += [f"  {name}:", "    values:", *(f"      - {_scalar(value)}" for value in values)]
    command = ["${env}", "bn-ablate", "run", str(config), *options, "${args}"]
    return "\n".join([*lines, "command:", *(f"  - {_scalar(word)}" for word in command)]) + "\n"


def publish_cell(path: str | Path) -> str:
    """Show the cell in the results folder `path` in the run that a W&B agent has opened for this process.

    Returns what to tell the user.

    Raises:
        ResultsError: `path` is not a results folder, or a table in it is missing or damaged.
        SinkError: it holds more than one cell, or W&B does not take it.
    """
    results = open_results(path)
    content = cell_content(results, os.environ.get("WANDB_RUN_ID", ""))
    with quiet_wandb() as warnings, open_session(results.path, "online", None, None, warnings, sweep=True) as session:
        session.send(content).result()
    return f"Weights & Biases: the sweep's run shows {content.name}: {METRIC} = {content.summary.get(METRIC)}"


def cell_content(results: Results, run_id: str) -> RunContent:
    """The run of one cell at all its seeds: each seed's curves as `s<seed>/<curve>`; metrics as means and by seed."""
    import polars as pl

    cells = results.lanes.select(list(results.axes)).unique()
    if results.axes and cells.height != 1:
        raise SinkError(
            f"Weights & Biases: a sweep's run shows one cell, and {results.path} holds {cells.height}:"
            " let every axis with several levels be a parameter of the sweep"
        )
    lanes = results.lanes
    levels = {axis: lanes[axis][0] for axis in results.axes}
    numbers = [name for name in lanes.columns if lanes[name].dtype.is_numeric() and name not in {*levels, "seed"}]
    means = {name: lanes[name].fill_nan(None).mean() for name in numbers}
    by_seed = {f"s{row['seed']}/{name}": row[name] for row in lanes.iter_rows(named=True) for name in numbers}
    seeds = dict(lanes.select("lane_id", "seed").iter_rows())
    points: dict[int, dict[str, Any]] = {}
    for row in results.history.filter(pl.col("lane_id").is_in(list(seeds))).iter_rows(named=True):
        seed, step = seeds[row.pop("lane_id")], row.pop("step")
        points.setdefault(step, {"step": step}).update({f"s{seed}/{curve}": value for curve, value in row.items()})
    return RunContent(
        id=run_id,
        name=run_names.cell_name(levels),
        group=results.study.name,
        job_type="cell",
        tags=run_names.tags((results.study.claim, results.study.data.name, "sweep")),
        notes=results.study.title,
        config=settings_of(results.study, levels) | {"study": results.name, "seeds": sorted(seeds.values())},
        summary=finite({**means, **by_seed, "lanes/diverged": int((lanes["status"] == "diverged").sum())}),
        history=[finite(points[step]) for step in thinned(sorted(points), MAX_POINTS)],
        tables={"lanes": Table(lanes.columns, [finite_or_none(row) for row in lanes.iter_rows()])},
    )


def _scalar(value: Any) -> str:
    """A value as YAML: JSON is YAML, but for floats like 1e-05, which YAML takes as text."""
    return repr(value).replace("e", ".0e") if isinstance(value, float) and "." not in repr(value) else json.dumps(value)
