"""What the command line does with finished results: `bn-ablate report | claims | paper | merge | compare | verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bn_ablate.cli.arguments import Extensions, Folder, Place, fail, load
from bn_ablate.cli.printed_commands import runnable

if TYPE_CHECKING:
    from rich.console import Console

    from bn_ablate.results import Results

Folders = Annotated[
    tuple[Place, ...],
    tyro.conf.Positional,
    tyro.conf.arg(metavar="DIR…", help="results folders, as results/c1_*, or a folder of them", help_behavior_hint=""),
]


def claims(
    results: Folders,
    output: Annotated[Place, tyro.conf.arg(metavar="FILE", help="where the verdicts go")] = Path("results/claims.json"),
    extensions: Extensions = (),
) -> None:
    """Judge the claims over several studies: their primary hypotheses, adjusted as one family."""
    from bn_ablate.analysis import write_board, write_combined_claims
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_claims, show_not_drawn, show_times
    from bn_ablate.results import of_studies, open_results
    from bn_ablate.results.files import is_stream

    if is_stream(output):
        fail(f"bn-ablate claims: --output: {output} is no file; the page of the claims goes beside one", 2)
    if not results:
        fail("bn-ablate claims: needs results: of studies, as results/c1_*, or the folder of all, as results", 2)
    console = make_console()
    load(extensions)
    results = tuple(of_studies(results))
    said = write_combined_claims(results, output)
    show_claims(console, said, output)
    studies = [open_results(folder) for folder in results]
    show_times(console, studies)
    show_not_drawn(console, studies)
    page = output.with_suffix(".html")
    with console.status("drawing the page of the claims"):
        write_board(results, said, page)
    console.print(f"page     {page}", markup=False, highlight=False)


def paper(
    results: Folders,
    output: Annotated[Place, tyro.conf.arg(metavar="DIR", help="the folder to write into")] = Path("paper"),
    extensions: Extensions = (),
) -> None:
    """Write what a paper needs: tables, figures, every number as a macro, references, methods, a sample main.tex."""
    from bn_ablate.analysis import write_paper
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats, show_not_drawn
    from bn_ablate.results import of_studies, open_results

    if not results:
        fail("bn-ablate paper: needs results: of studies, as results/c1_*, or the folder of all, as results", 2)
    console = make_console()
    load(extensions)
    results = tuple(of_studies(results))
    written = write_paper(results, output)
    studies = [open_results(path) for path in results]
    show_caveats(console, [f"{study.path}: {caveat}" for study in studies for caveat in study.caveats])
    show_not_drawn(console, studies)
    print(f"{len(written)} files in {output}; to typeset the sample: cd {output} && latexmk -pdf main")


def ls(
    results: Annotated[
        Place,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="DIR", help="the folder of all results, or that of one study"),
    ] = Path("results"),
) -> None:
    """List the results there are: of which study, of when, how many lanes, with which verdicts, how large."""
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_list
    from bn_ablate.results import results_in

    folders = results_in(results)
    if not folders:
        fail(f"bn-ablate: {results}: holds no results; `bn-ablate run ablate` makes some", 1)
    show_list(make_console(), folders)


def merge(
    parts: Annotated[
        tuple[Place, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="DIR…", help="those of all parts, as results/ablate.part-*-of-8", help_behavior_hint=""),
    ],
    into: Annotated[Place, tyro.conf.arg(metavar="DIR", help="the results folder to make of them, as results/ablate")],
) -> None:
    """Put together what `run --part` has trained; what is missing, there twice, damaged or of other code is named."""
    from bn_ablate.cli.console import count, make_console
    from bn_ablate.cli.results_shown import show_caveats
    from bn_ablate.results import merge as put_together

    done = put_together(parts, into)
    lanes = count(done.networks.height, "lane")
    said = f"{done.path}: {lanes} of {count(len(parts), 'part')}; `bn-ablate report {done.path}` writes the report"
    print(runnable(said))
    show_caveats(make_console(), done.caveats)


def compare(
    first: Annotated[Place, tyro.conf.Positional, tyro.conf.arg(metavar="A", help="a results folder")],
    second: Annotated[Place, tyro.conf.Positional, tyro.conf.arg(metavar="B", help="another: of another machine, say")],
    form: Annotated[Literal["text", "markdown"], tyro.conf.arg(name="format", help="how to write it")] = "text",
) -> None:
    """Put two results folders side by side: what changed, and what each says of the same hypotheses."""
    from bn_ablate.analysis import beside, markdown
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_beside

    said = beside(first, second)
    if form == "markdown":
        print(markdown(said), end="")
    else:
        show_beside(make_console(), said)


def verify(
    results: Folder,
    rerun: Annotated[
        int, tyro.conf.arg(metavar="N", help="train N lanes drawn at random once more, and compare their numbers")
    ] = 0,
    extensions: Extensions = (),
    trust_extension: Annotated[
        bool,
        tyro.conf.FlagCreatePairsOff,
        tyro.conf.arg(help="for --rerun: run the Python files of the study's own parts that came with the results"),
    ] = False,
) -> None:
    """Check every file of a results folder, and its data, by their checksums; with --rerun, some lanes by training."""
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats, show_mixture
    from bn_ablate.results import open_results
    from bn_ablate.results import verify as check

    if rerun < 0:
        fail(f"bn-ablate: --rerun: {rerun} is no number of lanes", 2)
    problems = [f"{results}: {problem}" for problem in check(results)]
    if problems:
        fail("\n".join(problems), 1)
    print(f"{results}: complete, and every file is as it was written")
    whole, console = open_results(results), make_console()
    show_caveats(console, whole.caveats)
    show_mixture(console, whole)
    if rerun:
        load((*extensions, *(whole.extensions if trust_extension else ())))
        _verify_lanes(results, rerun)


def _verify_lanes(results: Path, n: int) -> None:
    from bn_ablate import engine
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.rerun_shown import show_again
    from bn_ablate.runs.rerun import verify_lanes

    engine.set_up("auto")
    console = make_console()
    found = verify_lanes(results, n, on_lane=lambda again: show_again(console, again))
    if lost := sum(not again.holds for again in found):
        fail(f"{results}: {lost} of {len(found)} lanes trained once more end elsewhere than what is stored", 1)
    exact = sum(again.differences.is_empty() for again in found)
    print(f"{results}: {len(found)} lanes trained once more; {exact} the same to the bit, the others within tolerance")


def report(
    results: Folder,
    extensions: Extensions = (),
    at: Annotated[
        str,
        tyro.conf.arg(
            metavar="HASH", help="only print where the report is on the study with that hash", help_behavior_hint=""
        ),
    ] = "",
) -> None:
    """Judge the hypotheses again, and write figures, tables and report.html again, from stored results.

    What was reported of another study, before it was changed, is kept in earlier/, by the start of that study's hash.
    """
    if at:
        from bn_ablate.analysis import report_at

        print(report_at(results, at))
        return
    from bn_ablate.analysis import write_report
    from bn_ablate.cli.console import make_console
    from bn_ablate.cli.results_shown import show_caveats, show_mixture, show_not_drawn, show_summary, show_verdicts
    from bn_ablate.results import open_results

    console = make_console()
    load(extensions)
    write_report(results)
    done = open_results(results)
    show_summary(console, done)
    show_verdicts(console, done.claims)
    show_caveats(console, done.caveats)
    show_not_drawn(console, [done])
    show_mixture(console, done)
    show_paths(console, done)


def show_paths(console: Console, done: Results) -> None:
    """Print where the report, the figures and the results are."""
    for line in (
        f"report   {done.path / 'report.html'}",
        f"figures  {done.path / 'figures'}, tables {done.path / 'tables'}",
        f"results  {done.path} ({done.networks.height} lanes; manifest.json, *.parquet, claims.json)",
    ):
        console.print(line, soft_wrap=True, markup=False)
