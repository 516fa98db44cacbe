"""The commands about this machine: whether its device computes what the CPU computes, and what networks cost on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bn_ablate.cli.arguments import Config, Device, Extensions, Overrides, PlaceOrNone, fail

if TYPE_CHECKING:
    import polars as pl
    from rich.console import Console

BUSY = 0.1
"""From which spread of the repeats on, as a share of their median, it is said that the machine is busy."""


def check_device(
    device: Annotated[Literal["auto", "cpu", "cuda", "tpu"], tyro.conf.arg(help="what to check")] = "auto",
    strategy: Annotated[
        Literal["vmap", "map"], tyro.conf.arg(help="how to train on it: lanes all at once (vmap) or in turn (map)")
    ] = "vmap",
    at_once: Annotated[int, tyro.conf.arg(metavar="N", help="lanes that map takes together on a device")] = 1,
) -> None:
    """Train a tiny grid on a device and lane by lane on the CPU, and compare the numbers; anew, whatever is known.

    The first run on a kind of accelerator does the same by itself. Without an accelerator, the CPU's vmap is checked.
    """
    from bn_ablate import engine
    from bn_ablate.engine.known_devices import refusal, remember
    from bn_ablate.engine.selfcheck import check_devices

    if at_once < 1:
        fail(f"bn-ablate: --at-once: {at_once} is no number of lanes; 1 or more", 2)
    engine.set_up(device)
    found = check_devices(strategy, at_once=at_once)
    if not found.passed:
        fail(f"bn-ablate: {refusal(found)}", 2)
    remember(found)
    print(f"{found.devices} × {found.device} ({found.platform}), JAX {found.versions[0]}: {found.said}")
    print(f"computes what the CPU computes; checked in {found.seconds:.1f} s")


def cost(
    config: Config,
    overrides: Overrides = (),
    extensions: Extensions = (),
    device: Device = "auto",
    repeats: Annotated[int, tyro.conf.arg(metavar="N", help="how often each is timed, all by turns")] = 7,
    output: Annotated[
        PlaceOrNone,
        tyro.conf.arg(help_behavior_hint="", metavar="FILE", help="a Parquet file for the table, with quartiles"),
    ] = None,
) -> None:
    """Say what each structure of a study costs: parameters, operations, and time on this machine, held to no BN.

    One network of each is trained and evaluated by itself on one device, all by turns, and nothing of it is stored.
    """
    from bn_ablate import engine
    from bn_ablate.cli.console import count, make_console
    from bn_ablate.cli.progress_bar import count_progress
    from bn_ablate.cli.study_commands import study_of
    from bn_ablate.plan import make_plan
    from bn_ablate.results import refuse_inside
    from bn_ablate.results.files import write_table
    from bn_ablate.runs.costs import costs_of, table_of

    if repeats < 1:
        fail(f"bn-ablate: --repeats: {repeats} is no number of times; 1 or more", 2)
    if output:
        refuse_inside(output)
    made = make_plan(study_of(config, overrides, extensions))
    engine.set_up(device)
    console = make_console()
    with count_progress(console) as on_progress:
        table = table_of(costs_of(made, repeats=repeats, on_progress=on_progress))
    show_costs(console, table)
    if output:
        write_table(output, table)
        print(f"{output}: {count(table.height, 'row')}")


def show_costs(console: Console, table: pl.DataFrame) -> None:
    """Print a row for each structure, and below what was timed."""
    from rich.table import Table

    from bn_ablate.cli.console import count, escape

    def ratio(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    axes = table.columns[: table.columns.index("parameters")]
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for axis in axes:
        shown.add_column(axis)
    for column in ("parameters", "MFLOP/example", "forward", "ms/step", "× no BN", "ms/evaluation", "× no BN"):
        shown.add_column(column, justify="right")
    for row in table.rows(named=True):
        shown.add_row(
            *(escape(row[axis]) for axis in axes),
            f"{row['parameters']:,}",
            *(f"{row[name] / 1e6:,.3f}" for name in ("step_flops", "evaluation_flops")),
            f"{row['step_seconds'] * 1e3:,.3f}",
            ratio(row["step_ratio"]),
            f"{row['evaluation_seconds'] * 1e3:,.2f}",
            ratio(row["evaluation_ratio"]),
        )
    console.print(shown)
    spread = max(
        (row[f"{what}_seconds_q75"] - row[f"{what}_seconds_q25"]) / row[f"{what}_seconds"]
        for row in table.rows(named=True)
        for what in ("step", "evaluation")
    )
    if spread > BUSY:
        console.print(
            f"note: between repeats the times of a network differ by {spread:.0%} (from quartile to quartile): "
            "the machine is busy, and ratios that lie as near to 1 say nothing; try again when it is idle, "
            "or with more --repeats",
            style="yellow",
            soft_wrap=True,
        )
    first = table.row(0, named=True)
    where, times = escape(first["device"]), count(first["repeats"], "repeat")
    console.print(
        f"one network at a time on one device ({where}), medians of {times}; "
        f"MFLOP/example: of a training step, forward and backward, in batches of {first['batch_size']}; "
        f"forward: of an evaluation, which takes all {first['evaluated_examples']:,} examples",
        soft_wrap=True,
    )
