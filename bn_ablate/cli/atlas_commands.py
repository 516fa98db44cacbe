"""What the command line does with results of several places and of others: `bn-ablate atlas | replicate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from bn_ablate.cli.arguments import Extensions, Folder, Place, PlaceOrNone, fail, load
from bn_ablate.cli.results_commands import Folders

if TYPE_CHECKING:
    from rich.console import Console


def replicate(
    results: Folder,
    published: Annotated[
        PlaceOrNone,
        tyro.conf.arg(metavar="FILE", help_behavior_hint="", help="a published table; that of the study if it has one"),
    ] = None,
    form: Annotated[Literal["text", "markdown"], tyro.conf.arg(name="format", help="how to write it")] = "text",
    extensions: Extensions = (),
) -> None:
    """Hold results to what was published: ours with an interval, the deviation in SD from run to run, a verdict."""
    from bn_ablate.analysis import replicate as hold
    from bn_ablate.analysis.pages.replications import markdown
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats
    from bn_ablate.results import open_results

    load(extensions)
    whole = open_results(results)
    said = hold(whole, published)
    if form == "markdown":
        print(markdown(said), end="")
        return
    console = make_console()
    _show_replication(console, said)
    show_caveats(console, whole.caveats)


def atlas(
    results: Folders,
    output: Annotated[
        Place, tyro.conf.arg(metavar="FILE", help="where it goes as JSON; its table and its picture go beside it")
    ] = Path("results/atlas.json"),
    extensions: Extensions = (),
) -> None:
    """Show where each claim holds: its primary hypotheses over data sets, numbers of examples and networks."""
    from bn_ablate.analysis import write_atlas
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats
    from bn_ablate.results.files import is_stream

    if is_stream(output):
        fail(f"bn-ablate atlas: --output: {output} is no file; a table and a picture go beside it", 2)
    if not results:
        fail("bn-ablate atlas: needs results: of studies, as results/c1_*, or the folder of all, as results", 2)
    load(extensions)
    console = make_console()
    with console.status("drawing the atlas"):
        said = write_atlas(results, output)
    _show_atlas(console, said)
    show_caveats(console, said["caveats"])
    names = ", ".join(str(output.with_suffix(end)) for end in (".csv", ".svg", ".png"))
    console.print(f"atlas    {output}; {names}", soft_wrap=True, markup=False, highlight=False)


def _show_replication(console: Console, said: dict[str, Any]) -> None:
    """Print a row per published row, the reasons, and the differences of protocol."""
    from rich.table import Table

    from bn_ablate.analysis.pages.replications import HEADS, lines
    from bn_ablate.cli.console import escape

    console.print(f"{said['study']} and {said['source']}", markup=False, soft_wrap=True)
    table = Table(*HEADS)
    for line in lines(said):
        table.add_row(*map(escape, line))
    console.print(table)
    for row in said["rows"]:
        console.print(f"{row['id']}: {row['verdict']}: {row['reason']}", markup=False, soft_wrap=True)
    differences = [*said["differences"], *(f"{row['id']}: {of}" for row in said["rows"] for of in row["differences"])]
    for difference in differences:
        console.print(f"protocol: {difference}", markup=False, soft_wrap=True, style="dim")


def _show_atlas(console: Console, said: dict[str, Any]) -> None:
    """Print a row per claim with its verdict at each place, what differs, lanes held twice, and what is left out."""
    from rich.table import Table

    from bn_ablate.analysis.judge.places import same_lanes
    from bn_ablate.cli.console import escape
    from bn_ablate.cli.results_shown import VERDICT_STYLES

    table = Table("claim", *(escape(place["label"]) for place in said["places"]))
    by_place = [{claim["claim"]: claim for claim in place["claims"]} for place in said["places"]]
    says = {name: claim["says"] for claims in by_place for name, claim in claims.items()}
    for name in sorted(says):
        shown = []
        for claim in (claims.get(name) for claims in by_place):
            if claim is None:
                shown.append("–")
                continue
            counts = ", ".join(f"{times} {verdict}" for verdict, times in claim["counts"].items())
            shown.append(f"[{VERDICT_STYLES.get(claim['verdict'], 'yellow')}]{claim['verdict']}[/] ({counts})")
        table.add_row(f"[bold]{name}[/] {escape(says[name])}", *shown)
    console.print(table)
    for one in said["differ"]:
        verdicts = "; ".join(f"{place}: {verdict}" for place, verdict in one["verdicts"].items())
        console.print(f"{one['claim']} {one['id']}: {verdicts}", markup=False, soft_wrap=True)
    for pair in said["again"]:
        console.print(same_lanes(pair), markup=False, soft_wrap=True)
    for why in said["left_out"]:
        console.print(f"left out: {why}", markup=False, soft_wrap=True, style="dim")
