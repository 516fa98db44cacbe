"""What the command line shows of lanes that were trained once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from bn_ablate.cli.console import count, escape

if TYPE_CHECKING:
    import polars as pl

    from bn_ablate.results import Results
    from bn_ablate.runs.rerun import Again, Rerun

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
    what = f"{compared} of {count(again.results.networks.height, 'lane')}: {values:,} numbers held to {stored.path}"
    ways = f"; what has changed since: {again.changed}" if again.changed else ""
    if not differing:
        return f"{what}: the same, bit for bit{ways}"
    worst = differences.sort("largest", descending=True, nulls_last=True).row(0, named=True)
    where = f"{worst['largest'] or 0:.3g} at most (in {worst['table']}, {worst['column']})"
    return f"{what}: {differing:,} differ, by {where}{ways}"
