"""What the command line shows before training: the plan, its memory, remarks, what no outcome can decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bn_ablate.cli.console import count, escape, ranges
from bn_ablate.config.notes import notes_of

if TYPE_CHECKING:
    from bn_ablate.plan import Plan
    from bn_ablate.plan.memory import Machine
    from bn_ablate.runs.looking import LookTaken


def show_plan(console: Console, plan: Plan, memory_bytes: int) -> None:
    """Print axes, cells, lanes, programs and the memory that a run is expected to take."""
    from bn_ablate.plan import first_look

    study = plan.study
    console.print(f"[bold]{escape(study.name)}[/]  {escape(study.title)}")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("axis")
    table.add_column("levels")
    for axis, levels in study.axes.items():
        table.add_row(axis, escape(", ".join(map(str, levels))))
    table.add_row("seed", ranges(plan.seeds))
    console.print(table)
    first, looks = first_look(plan), study.looks
    if looks:
        console.print(
            f"looks at {', '.join(f'{n:,}' for n in looks)} seeds: at least {count(first.n_lanes, 'lane')}, "
            f"more for the cells of hypotheses that are open after a look, at most {plan.n_lanes:,}",
            soft_wrap=True,
        )
    steps = {cell.settings.train.steps for cell in plan.cells}
    alike = "" if plan.n_lanes == plan.n_rows else f"{plan.n_rows:,}, of which the same networks are one lane: "
    console.print(
        f"{len(plan.cells):,} cells × {len(plan.seeds):,} seeds = {alike}[bold]{plan.n_lanes:,} lanes[/], "
        f"{' or '.join(f'{n:,}' for n in sorted(steps))} steps each; "
        f"{count(len(plan.groups), 'compiled program')}; about {memory_bytes / 2**20:,.0f} MiB of memory; "
        f"{count(len(study.hypotheses), 'hypothesis', 'hypotheses')}"
    )


def show_notes(console: Console, plan: Plan) -> None:
    """Print what there is to remark on in the settings of `plan`."""
    for note in notes_of((cell.levels, cell.stated) for cell in plan.cells):
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)


def show_budget(console: Console, memory_bytes: int, machine: Machine, streamed_bytes: int = 0) -> None:
    """Print how much memory a run may take on `machine`, how it has its data, and whether a single lane takes more."""
    way = "all at once (vmap)" if machine.strategy == "vmap" else f"{machine.at_once} at a time on a device (map)"
    console.print(
        f"lanes {way}, {count(machine.devices, 'device')}; {machine.budget / 2**20:,.0f} MiB of memory may be taken"
    )
    if streamed_bytes:
        console.print(
            f"examples are read as they are needed, since all of them ({streamed_bytes / 2**20:,.0f} MiB, on every "
            "device) would take more than half of it",
            soft_wrap=True,
        )
    if memory_bytes > machine.budget:
        console.print(
            "That is less than a single lane needs: give more with --memory, or reduce model.width, train.batch_size, "
            "measure.probe or measure.eval_batch",
            style="yellow",
            soft_wrap=True,
        )


def show_size(console: Console, shards: int, disk_bytes: int) -> None:
    """Print in how many pieces a run is stored, and how much disk its results take at most."""
    console.print(f"{count(shards, 'shard')}; at most {disk_bytes / 2**20:,.0f} MiB of disk, besides what W&B writes")


def show_divisions(console: Console, plan: Plan) -> None:
    """Print how a study can be divided among machines."""
    from bn_ablate.plan import divisions

    console.print(f"to divide it, run --part I/N: {divisions(plan)}", soft_wrap=True, markup=False)


def show_outlook(console: Console, plan: Plan) -> None:
    """Print whether any outcome could decide the hypotheses of `plan`, and how many seeds would do."""
    if not plan.study.hypotheses:
        return
    from bn_ablate.analysis.judge.outlook import first_looks, outlook
    from bn_ablate.analysis.judge.words import few_seeds_lines, first_look_lines, outlook_lines

    if plan.study.looks:
        decidable, warnings = first_look_lines(first_looks(plan), plan.study.looks)
    else:
        decidable, warnings = outlook_lines(outlook(plan), len(plan.seeds))
    warnings += few_seeds_lines(plan.study.looks[0] if plan.study.looks else len(plan.seeds))
    for line in decidable:
        console.print(line, soft_wrap=True, markup=False)
    for line in warnings:
        console.print(line, style="yellow", soft_wrap=True, markup=False)


def show_look(console: Console, taken: LookTaken) -> None:
    """Print what came of a look."""
    from bn_ablate.analysis.judge.words import look_line

    console.print(look_line(*taken), soft_wrap=True, markup=False)
