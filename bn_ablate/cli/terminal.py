"""What the command line shows: the plan, progress, the summary and the verdicts."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape as without_markup
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from bn_ablate.config.errors import printable
from bn_ablate.config.notes import notes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from bn_ablate.analysis.pages.pairs import Beside
    from bn_ablate.plan import Plan, RunProgress
    from bn_ablate.plan.memory import Machine
    from bn_ablate.results import Results
    from bn_ablate.runs.rerun import Again, Rerun

SECONDS_BETWEEN_LINES = 10.0
"""How often progress is printed where the output is not a terminal."""

VERDICT_STYLES = {"supported": "green", "equivalent": "cyan", "contradicted": "red", "inconclusive": "yellow"}


def escape(text: str) -> str:
    """What a study says of itself, as plain text: neither markup nor codes that a terminal obeys."""
    return without_markup(printable(text, keep="\n"))


def make_console() -> Console:
    """The console that everything is printed to; wide enough for its tables where the output is a file."""
    console = _Console(highlight=False)
    return console if console.is_terminal else _Console(highlight=False, width=120)


class _Console(Console):
    """A console that leaves it to the command line what a broken pipe means."""

    def on_broken_pipe(self) -> None:
        if error := sys.exception():
            raise error


def show_plan(console: Console, plan: Plan, memory_bytes: int) -> None:
    """Print axes, cells, lanes, programs and the memory that a run is expected to take."""
    study = plan.study
    console.print(f"[bold]{escape(study.name)}[/]  {escape(study.title)}")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("axis")
    table.add_column("levels")
    for axis, levels in study.axes.items():
        table.add_row(axis, escape(", ".join(map(str, levels))))
    table.add_row("seed", _ranges(plan.seeds))
    console.print(table)
    steps = {cell.settings.train.steps for cell in plan.cells}
    alike = "" if plan.n_lanes == plan.n_rows else f"{plan.n_rows:,}, of which the same networks are one lane: "
    console.print(
        f"{len(plan.cells):,} cells × {len(plan.seeds):,} seeds = {alike}[bold]{plan.n_lanes:,} lanes[/], "
        f"{' or '.join(f'{n:,}' for n in sorted(steps))} steps each; "
        f"{_count(len(plan.groups), 'compiled program')}; about {memory_bytes / 2**20:,.0f} MiB of memory; "
        f"{_count(len(study.hypotheses), 'hypothesis', 'hypotheses')}"
    )


def show_notes(console: Console, plan: Plan) -> None:
    """Print what there is to remark on in the settings of `plan`."""
    for note in notes_of((cell.levels, cell.stated) for cell in plan.cells):
        console.print(f"note: {note}", style="yellow", soft_wrap=True, markup=False)


def show_budget(console: Console, memory_bytes: int, machine: Machine) -> None:
    """Print how much memory a run may take on `machine`, and a warning where even its smallest shards take more."""
    way = "all at once (vmap)" if machine.strategy == "vmap" else f"{machine.at_once} at a time on a device (map)"
    console.print(
        f"lanes {way}, {_count(machine.devices, 'device')}; {machine.budget / 2**20:,.0f} MiB of memory may be taken"
    )
    if memory_bytes > machine.budget:
        console.print(
            "That is less than a single lane needs: give more with --memory, or reduce model.width, train.batch_size, "
            "measure.probe or measure.eval_batch",
            style="yellow",
            soft_wrap=True,
        )


def show_outlook(console: Console, plan: Plan) -> None:
    """Print whether any outcome could decide the hypotheses of `plan`, and how many seeds would do."""
    if not plan.study.hypotheses:
        return
    from bn_ablate.analysis.judge.outlook import outlook
    from bn_ablate.analysis.judge.words import outlook_lines

    decidable, warnings = outlook_lines(outlook(plan), len(plan.seeds))
    for line in decidable:
        console.print(line, soft_wrap=True, markup=False)
    for line in warnings:
        console.print(line, style="yellow", soft_wrap=True, markup=False)


@contextmanager
def run_progress(console: Console) -> Iterator[Callable[[RunProgress], None]]:
    """Show a bar with lanes, steps/s and time left; on anything but a terminal a line now and then."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = [
        TextColumn("[bold]training"),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
    ]
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=1.0, state="compiling …")

        def update(progress: RunProgress) -> None:
            share = progress.lane_steps / max(progress.lane_steps_planned, 1)
            bar.update(task, completed=share, state=_state(progress))

        yield update


class _Lines:
    """Progress as lines of plain text, at most one every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, progress: RunProgress) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            share = progress.lane_steps / max(progress.lane_steps_planned, 1)
            self._console.print(f"training {share:4.0%}  {_state(progress)}")


def _state(progress: RunProgress) -> str:
    rate = progress.lane_steps / progress.seconds if progress.seconds else 0.0
    left = (progress.lane_steps_planned - progress.lane_steps) / rate if rate else 0.0
    diverged = f" · {progress.diverged} diverged" if progress.diverged else ""
    return f"{progress.lanes}/{progress.lanes_planned} lanes · {rate:,.0f} lane-steps/s · {clock(left)} left{diverged}"


def show_summary(console: Console, results: Results) -> None:
    """Print the test accuracy of every cell: the longest axis across, the others down."""
    import polars as pl

    lanes, axes = results.lanes, results.axes
    if not axes or lanes.is_empty():
        mean = lanes["final_test_accuracy"].mean()
        console.print(f"test accuracy {mean:.1%} over {lanes.height} lanes" if isinstance(mean, float) else "no lanes")
        return
    across = max(axes, key=lambda axis: len(axes[axis]))
    down = [axis for axis in axes if axis != across]
    cells = lanes.group_by([*down, across], maintain_order=True).agg(
        pl.col("final_test_accuracy").mean().alias("mean"),
        pl.col("final_test_accuracy").std().alias("std"),
        (pl.col("status") == "diverged").sum().alias("diverged"),
    )
    n_seeds = len(results.manifest["seeds"])
    console.print(f"Test accuracy, % (mean ± SD over {_count(n_seeds, 'seed')})", style="table.title")
    table = Table()
    for axis in down:
        table.add_column(axis.replace("_", " "), style="bold")
    for level in axes[across]:
        table.add_column(f"{across.replace('_', ' ')}\n{level}", justify="right")
    by_row: dict[tuple[Any, ...], dict[Any, str]] = {}
    for row in cells.iter_rows(named=True):
        by_row.setdefault(tuple(row[axis] for axis in down), {})[row[across]] = _accuracy(row)
    previous: tuple[Any, ...] = ()
    for levels, columns in by_row.items():
        if previous and levels[0] != previous[0]:
            table.add_section()
        shown = [
            escape(str(v)) if not previous or levels[: i + 1] != previous[: i + 1] else "" for i, v in enumerate(levels)
        ]
        table.add_row(*shown, *(columns.get(level, "–") for level in axes[across]))
        previous = levels
    console.print(table)
    if (diverged := int(cells["diverged"].sum())) > 0:
        console.print(
            f"[dim]† some lanes of the cell diverged ({diverged} in all); they count with the accuracy they have[/]"
        )


def show_mixture(console: Console, results: Results) -> None:
    """Print a line for each origin of lanes that have several; the caveats say what it means."""
    if results.mixture:
        console.print("\n".join(results.mixture.lines), style="yellow", soft_wrap=True, markup=False)


RERUN_METRICS = ("final_train_loss", "final_test_loss", "final_test_accuracy", "gap")
MOST_LANES = 20
"""More lanes than that are not shown one by one."""


def show_rerun(console: Console, again: Rerun) -> None:
    """Print lanes that were trained anew beside what is stored of them, and whether any number differs."""
    new, stored, differences = again.results.networks, again.stored, again.differences
    old = {} if stored is None else {row["lane_id"]: row for row in stored.lanes.iter_rows(named=True)}
    if new.height <= MOST_LANES:
        table = Table(title="Trained anew (stored)" if old else "Trained", title_justify="left")
        for name in (*again.results.axes, "seed"):
            table.add_column(name.replace("_", " "), style="bold")
        for name in RERUN_METRICS:
            table.add_column(name.replace("_", " "), justify="right")
        for row in new.iter_rows(named=True):
            levels = [escape(str(row[name])) for name in (*again.results.axes, "seed")]
            before = old.get(row["lane_id"])
            numbers = (f"{row[m]:.7g}" + (f" ({before[m]:.7g})" if before else "") for m in RERUN_METRICS)
            table.add_row(*levels, *numbers)
        console.print(table)
    if stored is None or differences is None:
        console.print("nothing is stored of these lanes to compare with")
    else:
        console.print(_sameness(again, stored, differences), soft_wrap=True, markup=False)
    console.print(f"results  {again.results.path}", soft_wrap=True, markup=False)


def show_again(console: Console, again: Again) -> None:
    """Print a lane that was trained once more, and how it compares with what is stored."""
    lane = ", ".join(f"{axis} {level}" for axis, level in again.levels.items())
    if again.differences.is_empty():
        said = f"{again.numbers:,} numbers, the same to the bit"
    else:
        worst = again.differences.sort("largest", descending=True, nulls_last=True).row(0, named=True)
        accuracy = 100 * again.shift["final_test_accuracy"]
        differing = again.differences["differing"].sum()
        said = (
            f"{differing:,} of {again.numbers:,} numbers differ, by {worst['largest'] or 0:.3g} at most "
            f"({worst['column']}); test accuracy by {accuracy:+.2f} pp"
        )
    mark = "[green]✓[/]" if again.holds else "[red]✕[/]"
    changed = f"; what has changed since: {again.changed}" if again.changed else ""
    console.print(f"{mark} {escape(lane)}: {said}{escape(changed)}", soft_wrap=True)


def _sameness(again: Rerun, stored: Results, differences: pl.DataFrame) -> str:
    """What a comparison of lanes trained twice amounts to, as a sentence."""
    values, differing = int(differences["values"].sum()), int(differences["differing"].sum())
    compared = max(differences["lanes"].to_list())
    what = f"{compared} of {_count(again.results.networks.height, 'lane')}: {values:,} numbers held to {stored.path}"
    ways = f"; what has changed since: {again.changed}" if again.changed else ""
    if not differing:
        return f"{what}: the same, bit for bit{ways}"
    worst = differences.sort("largest", descending=True, nulls_last=True).row(0, named=True)
    where = f"{worst['largest'] or 0:.3g} at most (in {worst['table']}, {worst['column']})"
    return f"{what}: {differing:,} differ, by {where}{ways}"


def _accuracy(row: dict[str, Any]) -> str:
    std = row["std"]
    spread = f" ±{100 * std:.1f}" if std is not None and math.isfinite(std) else ""
    return f"{100 * row['mean']:.1f}{spread}{'†' if row['diverged'] else ''}"


def show_verdicts(console: Console, claims: list[dict[str, Any]]) -> None:
    """Print a row per hypothesis: estimate and interval with their unit, adjusted p, verdict; then the reasons."""
    if not claims:
        return
    from bn_ablate.analysis.judge.groups import groups
    from bn_ablate.analysis.judge.metrics import p_text
    from bn_ablate.analysis.judge.shown import interval_text, scale_of, texts
    from bn_ablate.analysis.judge.verdicts import floor_notes

    console.print("Hypotheses", style="table.title")
    table = Table("hypothesis", "where", "estimate", "95% interval", "adjusted p", "verdict")
    for column in (2, 4):
        table.columns[column].justify = "right"
    for group in groups(claims):
        unit = scale_of(group.records[0]).shown
        said = f"{group.statement} ({unit})" if unit else group.statement
        table.add_section()
        for record, name in zip(group.records, group.names, strict=True):
            shown = texts(record)
            first = record is group.records[0]
            table.add_row(
                f"[bold]{escape(record['id'].split('.')[0])}[/] {escape(said)}" if first else "",
                escape(name),
                shown.estimate,
                escape(interval_text(shown)),
                p_text(record["p_adjusted"]),
                f"[{VERDICT_STYLES[record['verdict']]}]{record['verdict']}[/]",
            )
    console.print(table)
    for record in claims:
        console.print(escape(f"{record['id']}: {record['verdict']}. {record['reason']}"), soft_wrap=True)
    for line in floor_notes(claims):
        console.print(line, style="dim", markup=False)


def show_caveats(console: Console, caveats: list[str]) -> None:
    """Print what is to be known of results before they are relied on."""
    for caveat in caveats:
        console.print(f"Caution: {caveat}.", style="bold yellow", soft_wrap=True, markup=False)


def show_claims(console: Console, said: dict[str, Any], file: Path) -> None:
    """Print a line per claim, over all studies: its verdict, and how many of its hypotheses have which."""
    from bn_ablate.analysis.judge.words import CLAIMS

    table = Table(
        title=f"Claims: Batch Normalization … ({said['family']} hypotheses, one family)", title_justify="left"
    )
    for name in ("claim", "", "verdict", "primary hypotheses"):
        table.add_column(name)
    for claim in said["claims"]:
        counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
        style = VERDICT_STYLES.get(claim["verdict"], "yellow")
        table.add_row(claim["claim"], CLAIMS[claim["claim"]], f"[{style}]{claim['verdict']}[/]", counts)
    console.print(table)
    show_caveats(console, said["caveats"])
    console.print(f"verdicts {escape(str(file))}", highlight=False)


def show_times(console: Console, studies: list[Results]) -> None:
    """Print how long each study took to compile and to train, by its manifest, and all of them together."""
    table = Table(title="Time that the studies took", title_justify="left")
    for name in ("study", "networks", "compiling", "training", "device"):
        table.add_column(name, justify="left" if name in ("study", "device") else "right")
    total = {"compile_seconds": 0.0, "train_seconds": 0.0}
    for results in studies:
        timing, device = results.manifest.get("timing"), results.manifest.get("device")
        if not timing:
            continue
        total = {key: value + timing[key] for key, value in total.items()}
        spent = (clock(timing[key]) for key in total)
        kind = f"{device['count']} × {device['kind']}" if device else ""
        table.add_row(escape(results.name), f"{results.networks.height:,}", *spent, escape(kind))
    table.add_section()
    networks = sum(results.networks.height for results in studies)
    table.add_row("all", f"{networks:,}", *map(clock, total.values()), f"{clock(sum(total.values()))} in all")
    console.print(table)


def show_beside(console: Console, said: Beside) -> None:
    """Print two results folders side by side: what changed, and each hypothesis in both."""
    from bn_ablate.analysis.pages.pairs import side_by_side, summary

    console.print(f"A  {said.names[0]}\nB  {said.names[1]}", markup=False)
    heads, rows = side_by_side(said)
    changes = Table("what changed", "A", "B", title_justify="left")
    for change in said.changes:
        changes.add_row(*map(escape, change))
    console.print(changes if said.changes else "nothing changed that the manifests tell")
    hypotheses = Table(*heads)
    for pair, row in zip(said.hypotheses, rows, strict=True):
        hypotheses.add_row(*map(escape, row), style="bold" if pair["verdict_changed"] else "")
    console.print(hypotheses)
    console.print(summary(said))
    show_caveats(console, said.caveats)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _ranges(seeds: tuple[int, ...]) -> str:
    whole = tuple(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if seeds == whole and len(seeds) > 2 else ", ".join(map(str, seeds))
