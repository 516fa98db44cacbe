"""What the command line shows of results: the summary, verdicts, claims, two folders side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from bn_ablate.cli.console import escape
from bn_ablate.plan import clock

if TYPE_CHECKING:
    from bn_ablate.analysis.pages.pairs import Beside
    from bn_ablate.results import Results

VERDICT_STYLES = {"supported": "green", "equivalent": "cyan", "contradicted": "red", "inconclusive": "yellow"}


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
    seeds = results.seeds_per_cell
    console.print(f"Test accuracy, % (mean ± SD over {seeds} seed{'s' * (seeds != '1')})", style="table.title")
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


def show_list(console: Console, folders: Sequence[Path]) -> None:
    """Print a line for each results folder; for one that cannot be read, why."""
    from bn_ablate.results import ResultsError, open_results

    table = Table("results", "study", "finished", "lanes", "verdicts", "size", box=None, pad_edge=False)
    for column in (3, 5):
        table.columns[column].justify = "right"
    unread = []
    for folder in folders:
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20
        try:
            results = open_results(folder)
            verdicts = Counter(claim["verdict"] for claim in results.claims)
            lanes = results.manifest.get("lanes", {})
        except ResultsError as error:
            unread.append(str(error))
            continue
        when = str(results.manifest.get("finished", ""))[:16].replace("T", " ")
        table.add_row(
            escape(str(folder)),
            escape(str(results.manifest.get("part_of") or results.name)),
            when or str(results.manifest.get("status")),
            f"{lanes['finished']:,} of {lanes['planned']:,}" if lanes else "",
            ", ".join(f"{n} {verdict}" for verdict in VERDICT_STYLES if (n := verdicts[verdict])) or "–",
            f"{size:,.1f} MiB",
        )
    if table.rows:
        console.print(table)
    for said in unread:
        console.print(said, style="yellow", soft_wrap=True, markup=False)


def show_mixture(console: Console, results: Results) -> None:
    """Print a line for each origin of lanes that have several; the caveats say what it means."""
    if results.mixture:
        console.print("\n".join(results.mixture.lines), style="yellow", soft_wrap=True, markup=False)


def show_verdicts(console: Console, claims: list[dict[str, Any]]) -> None:
    """Print a row per hypothesis: estimate and interval with their unit, adjusted p, verdict; then the reasons."""
    if not claims:
        return
    from bn_ablate.analysis.judge.groups import groups
    from bn_ablate.analysis.judge.shown import interval_text, p_text, scale_of, texts
    from bn_ablate.analysis.judge.verdicts import floor_notes

    console.print("Hypotheses", style="table.title")
    heads = ["hypothesis", "where", "estimate", "95% interval", "adjusted p", "verdict"]
    looked = "look" in claims[0]
    table = Table(*heads, *["look, seeds"] * looked)
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
                *([f"{record['look']}, {record['looks'][record['look'] - 1]:,}"] if looked else []),
            )
    console.print(table)
    for record in claims:
        console.print(escape(f"{record['id']}: {record['verdict']}. {record['reason']}"), soft_wrap=True)
    for line in floor_notes(claims):
        console.print(line, style="dim", markup=False)


def show_not_drawn(console: Console, studies: Sequence[Results]) -> None:
    """Print which figures of claims wait for a file of the user's own to be loaded."""
    from bn_ablate.analysis.figures.claims import not_drawn

    for said in filter(None, (not_drawn(study, study.path) for study in studies)):
        console.print(f"note: {said}", style="yellow", soft_wrap=True, markup=False)


def show_caveats(console: Console, caveats: list[str]) -> None:
    """Print what is to be known of results before they are relied on."""
    for caveat in caveats:
        console.print(f"Caution: {caveat}.", style="bold yellow", soft_wrap=True, markup=False)


def show_claims(console: Console, said: dict[str, Any], file: Path) -> None:
    """Print a line per claim, over all studies: its verdict, and how many of its hypotheses have which."""
    table = Table(
        title=f"Claims: Batch Normalization … ({said['family']} hypotheses, one family)", title_justify="left"
    )
    for name in ("claim", "", "verdict", "primary hypotheses"):
        table.add_column(name)
    for claim in said["claims"]:
        counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
        style = VERDICT_STYLES.get(claim["verdict"], "yellow")
        table.add_row(claim["claim"], escape(claim["says"]), f"[{style}]{claim['verdict']}[/]", counts)
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


def _accuracy(row: dict[str, Any]) -> str:
    std = row["std"]
    spread = f" ±{100 * std:.1f}" if std is not None and math.isfinite(std) else ""
    return f"{100 * row['mean']:.1f}{spread}{'†' if row['diverged'] else ''}"
