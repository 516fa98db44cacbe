"""The commands about a study: `bn-ablate plan | run`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from bn_ablate.cli import signals
from bn_ablate.cli.arguments import (
    Address,
    AtOnce,
    Config,
    Device,
    Extensions,
    Memory,
    On,
    Only,
    Overrides,
    Portion,
    ResultsRoot,
    Strategy,
    fail,
    how_to_train,
)
from bn_ablate.cli.results_commands import show_paths

if TYPE_CHECKING:
    from rich.console import Console

    from bn_ablate.config import Study
    from bn_ablate.engine.devices import Platform
    from bn_ablate.plan import Plan, RunProgress
    from bn_ablate.plan.memory import Machine
    from bn_ablate.results import Old, Results
    from bn_ablate.sinks import Live

Wandb = Literal["auto", "online", "offline", "disabled"]
WandbMode = Annotated[
    Wandb, tyro.conf.arg(help="auto: online with a key, else the study's own run offline; offline: every lane offline")
]


def plan(
    config: Config,
    overrides: Overrides = (),
    extensions: Extensions = (),
    device: Device = "auto",
    memory: Memory = None,
    strategy: Strategy = "auto",
    at_once: AtOnce = None,
    time: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="train each program for 5 s, and say how long all would take; stores nothing"),
    ] = False,
) -> None:
    """Print what a study amounts to: lanes, programs, memory, disk, what can be decided, parts. Stores nothing."""
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.machines import show_time
    from bn_ablate.cli.plan_shown import show_divisions, show_outlook
    from bn_ablate.plan import make_plan
    from bn_ablate.plan.memory import Machine
    from bn_ablate.plan.memory.host import accelerated
    from bn_ablate.runs.layout import Asked

    how = how_to_train(strategy, at_once, memory)
    console = make_console()
    made = make_plan(study_of(config, overrides, extensions))
    # on a CPU there is no need to ask JAX
    on_cpu = not time and (device == "cpu" or (device == "auto" and not accelerated()))
    _show_plan(console, made, Machine.here(**how) if on_cpu else _started(device, how))
    show_outlook(console, made)
    show_divisions(console, made)
    if time:
        show_time(console, made, Asked(**how))


def run(
    config: Config,
    overrides: Overrides = (),
    extensions: Extensions = (),
    only: Only = (),
    part: Portion = None,
    on: On = "here",
    address: Address = None,
    quick: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="2 seeds and 12 steps, to see that the study goes through"),
    ] = False,
    results: ResultsRoot = Path("results"),
    wandb: WandbMode = "auto",
    device: Device = "auto",
    memory: Memory = None,
    strategy: Strategy = "auto",
    at_once: AtOnce = None,
    retrain: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="train stored lanes of other code, versions or data anew"),
    ] = False,
    keep_old: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="keep stored lanes of other code or versions; the report says so"),
    ] = False,
) -> None:
    """Train what a study lacks, test its hypotheses, write the report, and hand the results to Weights & Biases.

    With --only, train the lanes it picks anew, in a folder of their own, and hold them to those that are stored.
    With --quick, results go to a folder of their own too; what they say of the hypotheses means nothing.
    With --part, train a part of the study that no other part has, for `bn-ablate merge`.
    """
    from bn_ablate.cli.console import count, make_console
    from bn_ablate.cli.machines import crew_of, show_merge
    from bn_ablate.cli.plan_shown import show_look, show_outlook
    from bn_ablate.cli.progress_bar import run_progress
    from bn_ablate.cli.rerun_shown import show_rerun
    from bn_ablate.cli.results_shown import show_caveats
    from bn_ablate.config.only import parse_only
    from bn_ablate.plan import Part, clock, make_plan, portion, quick_plan, restrict
    from bn_ablate.plan.memory import Machine
    from bn_ablate.runs.rerun import rerun
    from bn_ablate.runs.run import run as run_study

    how = how_to_train(strategy, at_once, memory)
    if retrain and keep_old:
        fail("bn-ablate: --retrain and --keep-old: stored lanes are either trained anew or kept", 2)
    console = make_console()
    study = study_of(config, overrides, extensions)
    made = quick_plan(study) if quick else make_plan(study)
    chosen = parse_only(only)
    share = None if part is None else Part.parse(part)
    if address and on == "here":
        fail("bn-ablate: --address is that of a cluster of Ray: --on ray joins it", 2)
    if chosen and on == "ray":
        fail("bn-ablate: --only trains a few lanes here, and does not go with --on ray", 2)
    if share and (chosen or wandb in ("online", "offline")):
        fail(
            f"bn-ablate: --part does not go with {'--only' if chosen else '--wandb: `bn-ablate sync` sends the whole'}",
            2,
        )
    mine = restrict(made, chosen) if chosen else portion(made, share) if share else made
    folder = results / (share.folder(made.study.name) if share else mine.study.name)
    _check_wandb("disabled" if share else wandb, sweep=bool(chosen))
    _show_plan(console, mine, Machine.here(**how) if on == "ray" else _started(device, how, folder))
    if share:
        console.print(f"part {share} of {count(made.n_lanes, 'lane')}, into {folder}", soft_wrap=True, markup=False)
    elif not quick:
        show_outlook(console, mine)
    trained = False
    with (
        crew_of(on, address, device, console) as crew,
        signals.stopping_softly(unsaved=on == "ray") as stop_if_asked,
        run_progress(console) as show_progress,
        _live(mine, results, "disabled" if share else wandb) as live,
    ):

        def on_progress(progress: RunProgress) -> None:
            nonlocal trained
            if not trained and progress.lanes:
                console.print(f"{progress.lanes} of {progress.lanes_planned} lanes are there already, and stay")
            trained = True
            show_progress(progress)
            if live:
                live(progress)
            stop_if_asked(unsaved=bool(progress.cells) or on == "ray")  # a cluster is to be ended

        crew.between = partial(stop_if_asked, unsaved=on == "ray")
        if chosen:
            again = rerun(made, chosen, results, on_progress=on_progress, progress=False, **how)
        else:
            old: Old = "retrain" if retrain else "keep" if keep_old else "refuse"
            shown = partial(show_look, console)
            done = run_study(
                made,
                results,
                on_progress=on_progress,
                on_look=shown,
                progress=False,
                old=old,
                part=share,
                crew=crew,
                **how,
            )
    if chosen:
        show_rerun(console, again)
        show_caveats(console, again.results.caveats)
        _show_in_sweep(console, again.results)
        return
    timing = done.manifest["timing"]
    console.print(
        f"trained in {clock(timing['train_seconds'])}, after {timing['compile_seconds']:.0f} s of compiling"
        if trained
        else "every lane was trained before; nothing to train",
    )
    for note in done.manifest.get("notes", ()):
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)
    if share:
        show_merge(console, made, share, results)
        return
    _finish(console, done, wandb, live.message if live else "")


def study_of(config: Path, overrides: tuple[str, ...], extensions: tuple[Path, ...]) -> Study:
    """The study of a command line, with its epochs counted."""
    from bn_ablate.config import load_study
    from bn_ablate.runs.run import with_epochs_counted

    return with_epochs_counted(load_study(config, overrides, extensions))


def _started(device: Platform, how: dict[str, Any], folder: Path | None = None) -> Machine:
    """Set JAX up for `device`, and say what a run has at its disposal there, or what its `folder` is laid out for."""
    from bn_ablate import engine
    from bn_ablate.runs.layout import Asked, Layout, settle

    engine.set_up(device)
    return settle(Layout.of(folder) if folder else None, Asked(**how)).machine


def _show_plan(console: Console, plan: Plan, machine: Machine) -> None:
    """Print a plan, the memory that it takes on `machine`, and what there is to remark on."""
    from bn_ablate.cli.plan_shown import show_budget, show_notes, show_plan, show_size
    from bn_ablate.runs.run import expected

    takes = expected(plan, machine)
    show_plan(console, plan, takes.memory)
    show_budget(console, takes.memory, machine, takes.streamed)
    show_size(console, takes.shards, takes.disk)
    show_notes(console, plan)


def _check_wandb(wandb: Wandb, *, sweep: bool) -> None:
    """Find out before training whether W&B can be used, where that was asked for in so many words."""
    from bn_ablate import sinks
    from bn_ablate.sinks.sweep import in_sweep

    if sweep:
        if in_sweep():
            sinks.check("online", sweep=True)
    elif wandb != "auto":
        sinks.check(wandb)


def _finish(console: Console, done: Results, wandb: Wandb, not_streamed: str) -> None:
    """What follows training: report, summary, verdicts, W&B, paths. A fault of W&B is reported, and spoils nothing.

    It ends the command in an error where W&B was asked for in so many words. `not_streamed` says why no progress was
    streamed, if so.
    """
    from bn_ablate import sinks
    from bn_ablate.analysis import write_report
    from bn_ablate.cli.results_shown import show_caveats, show_mixture, show_summary, show_verdicts
    from bn_ablate.results import open_results

    with console.status("writing the report"):
        write_report(done.path)
    done = open_results(done.path)
    console.print()
    show_summary(console, done)
    show_verdicts(console, done.claims)
    show_caveats(console, done.caveats)
    show_mixture(console, done)
    show_paths(console, done)
    try:
        with console.status("handing the results to W&B"):
            sent = sinks.publish(done.path, wandb)
        if not_streamed:
            console.print(f"Weights & Biases: no progress was streamed: {not_streamed}", style="yellow", markup=False)
        console.print(sent.message, soft_wrap=True, markup=False)
    except sinks.SinkError as error:
        if not_streamed:  # for the same reason, as a rule, which is said once
            console.print("Weights & Biases: no progress was streamed", style="yellow")
        if wandb != "auto":
            raise
        console.print(str(error), style="yellow", soft_wrap=True, markup=False)


def _live(plan: Plan, results: Path, wandb: Wandb) -> AbstractContextManager[Live | None]:
    """What streams progress to the study's run in W&B, where that was asked for."""
    from bn_ablate import sinks

    try:
        mode = sinks.asked_mode(wandb)
    except sinks.SinkError:
        mode = wandb  # said when the results are handed over, and they are trained by then
    return sinks.Live(plan, results / plan.study.name) if mode == "online" and not plan.whole else nullcontext()


def _show_in_sweep(console: Console, done: Results) -> None:
    """Under a W&B agent, show the cell that was trained in the run that the agent has opened for it."""
    from bn_ablate.sinks import sweep

    if sweep.in_sweep():
        console.print(sweep.publish_cell(done.path), soft_wrap=True, markup=False)
