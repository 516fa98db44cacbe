"""What the command line does with Weights & Biases: `bn-ablate sync | fetch | sweep-config | wandb-report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from bn_ablate.cli.arguments import Config, Folder, Only, Overrides, PlaceOrNone, ResultsRoot

Project = Annotated[
    str | None, tyro.conf.arg(help_behavior_hint="", metavar="NAME", help="W&B project; bn_ablate when not given")
]
Entity = Annotated[
    str | None,
    tyro.conf.arg(help_behavior_hint="", metavar="NAME", help="W&B user or team; your own default when not given"),
]


def sync(
    results: Folder,
    project: Project = None,
    entity: Entity = None,
    only: Only = (),
    wandb: Annotated[Literal["online", "offline"], tyro.conf.arg(help="where to")] = "online",
) -> None:
    """Send stored results to Weights & Biases, a run per lane and one for the study; doing it twice doubles nothing."""
    from rich.progress import Progress

    from bn_ablate import sinks
    from bn_ablate.cli.console import make_console
    from bn_ablate.config.only import parse_only

    console = make_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sending", total=None)
        sent = sinks.publish(
            results,
            wandb,
            lanes=True,
            project=project,
            entity=entity,
            only=parse_only(only),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(sent.message, soft_wrap=True, markup=False)


def fetch(
    artifact: Annotated[
        str, tyro.conf.Positional, tyro.conf.arg(metavar="ENTITY/PROJECT/ARTIFACT", help="with :vN for another version")
    ],
    results: ResultsRoot = Path("results"),
) -> None:
    """Bring a study's results back from Weights & Biases, and hold every file to the manifest."""
    from bn_ablate import sinks
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats
    from bn_ablate.results import open_results

    fetched = sinks.fetch(artifact, results)
    what = "fetched, and every file is as it was written" if fetched.new else "is there already, file for file"
    print(f"{fetched.path}: {fetched.artifact} {what}")
    show_caveats(make_console(), open_results(fetched.path).caveats)


def sweep_config(
    config: Config,
    overrides: Overrides = (),
    project: Project = None,
    output: Annotated[
        PlaceOrNone, tyro.conf.arg(help_behavior_hint="", help="the file to write; the screen when not given")
    ] = None,
) -> None:
    """Write a W&B sweep over the cells of a study; each call of an agent trains one cell."""
    from bn_ablate.config import load_study
    from bn_ablate.plan import make_plan
    from bn_ablate.results.files import write_output
    from bn_ablate.runs.run import with_epochs_counted
    from bn_ablate.sinks.sweep import sweep_config as yaml_of

    options = [word for override in overrides for word in ("--set", override)]
    text = yaml_of(make_plan(with_epochs_counted(load_study(config, overrides))), config, options, project)
    if output is None:
        print(text, end="")
    elif write_output(output, text):
        print(f"{output}: start it with `wandb sweep {output}`")


def wandb_report(
    results: Folder,
    project: Project = None,
    entity: Entity = None,
    kind: Annotated[
        Literal["report", "view"], tyro.conf.arg(help="a report, or a saved view of the project")
    ] = "report",
) -> None:
    """Make a report or a saved view of a study in W&B: the main figures' panels, runs grouped by placement and rate."""
    from bn_ablate.sinks.workspace import save_workspace

    print(f"Weights & Biases: {kind} saved: {save_workspace(results, kind, project=project, entity=entity)}")
