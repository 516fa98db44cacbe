"""The commands about trained networks: `bn-ablate weights | predictions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from bn_ablate.cli.arguments import Extensions, Folder, Only, Place, fail, load

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from bn_ablate.config.names import Moment

At = Annotated[
    str,
    tyro.conf.arg(
        metavar="WHEN",
        help="final, best (the lowest validation loss), averaged (the weights' average at the end), or a step that was "
        "measured",
    ),
]


def weights(
    results: Folder,
    output: Annotated[Place, tyro.conf.arg(metavar="FILE", help="where they go, as net.safetensors")],
    only: Only = (),
    at: At = "final",
    extensions: Extensions = (),
) -> None:
    """Write the weights of one lane as safetensors, for PyTorch, Flax or what you like; trains it again if need be."""
    from bn_ablate import engine
    from bn_ablate.cli.console import make_console
    from bn_ablate.config.only import parse_only
    from bn_ablate.results import open_results, refuse_inside
    from bn_ablate.results.files import whole_file
    from bn_ablate.runs.stored_weights import find_weights

    when = _when(at)
    refuse_inside(output)
    load(extensions)
    engine.set_up("auto")
    console = make_console()
    with console.status("looking for the weights, or training the lane again"):
        found = find_weights(open_results(results), parse_only(only), when)
    with whole_file(output) as file:
        found.weights.write(file)
    if found.replayed:
        console.print(f"note: {found.replayed}", style="yellow", soft_wrap=True, markup=False)
    tensors = found.weights.tensors.values()
    of = " of averaged weights" if when == "averaged" else ""
    print(
        f"{output}: {len(tensors)} tensors{of}, {sum(tensor.size for tensor in tensors):,} numbers, "
        f"after step {found.step}"
    )


def predictions(
    results: Folder,
    output: Annotated[Place, tyro.conf.arg(metavar="FILE", help="a Parquet file: a row for each lane and example")],
    only: Only = (),
    part: Annotated[Literal["train", "validation", "test"], tyro.conf.arg(help="of which examples")] = "test",
    at: At = "final",
    extensions: Extensions = (),
) -> None:
    """Write what networks say of each example, and show accuracy by class and calibration; trains again if need be."""
    import numpy as np
    import polars as pl

    from bn_ablate import engine
    from bn_ablate.cli.console import count, make_console
    from bn_ablate.config.only import check_only, parse_only
    from bn_ablate.data import class_names
    from bn_ablate.plan import make_plan, restrict
    from bn_ablate.results import open_results, refuse_inside
    from bn_ablate.results.files import write_table
    from bn_ablate.runs.stored_weights import load_lane

    when = _when(at)
    refuse_inside(output)
    load(extensions)
    engine.set_up("auto")
    opened, console = open_results(results), make_console()
    lanes = restrict(make_plan(opened.study), check_only(opened.study, parse_only(only))).lanes
    if opened.study.looks:  # of whose seeds some cells have a few
        there = set(opened.lanes["lane_id"])
        lanes = [lane for lane in lanes if lane.id in there]
    said, tables, again = [], [], 0
    for i, lane in enumerate(lanes):
        with console.status(f"lane {i + 1} of {len(lanes)}: looking for its weights, or training it again"):
            loaded = load_lane(opened, lane.cell.levels, lane.seed, at=when)
            found = loaded.predictions(part)
        again += bool(loaded.replayed)
        said.append(found)
        probability = found.probabilities[np.arange(len(found.labels)), found.predicted]
        columns = {"example": found.examples, "label": found.labels, "predicted": found.predicted}
        of_lane = {"lane_id": lane.id, **lane.cell.levels, "seed": lane.seed}
        tables.append(
            pl.DataFrame(columns | {"probability": probability}).select(
                *(pl.lit(value).alias(name) for name, value in of_lane.items()), pl.all()
            )
        )
    write_table(output, pl.concat(tables, how="vertical_relaxed"))
    if again:
        console.print(
            f"note: the weights of {again} of them were not kept, and they were trained again", style="yellow"
        )
    confusion, n = np.sum([found.confusion for found in said], axis=0), said[0].probabilities.shape[1]
    names = class_names(opened.study.data.name) or ()
    names = names if len(names) == n else tuple(map(str, range(n)))
    show_classes(console, names, np.mean([found.class_accuracy for found in said], axis=0), confusion)
    mean = {
        "accuracy": np.mean([(found.predicted == found.labels).mean() for found in said]),
        "balanced accuracy": np.mean([found.balanced_accuracy for found in said]),
        "calibration error": np.mean([found.calibration_error for found in said]),
    }
    print(f"{count(len(said), 'lane')}, {part}: " + ", ".join(f"{name} {value:.2%}" for name, value in mean.items()))
    print(f"{output}: {sum(table.height for table in tables):,} predictions")


def show_classes(
    console: Console, names: tuple[str, ...], accuracy: np.ndarray, confusion: np.ndarray, most: int = 100
) -> None:
    """Print a row for each class, at `most` so many: its accuracy, and what it was taken for most often."""
    from rich.table import Table

    from bn_ablate.cli.console import escape

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("class")
    table.add_column("examples", justify="right")
    table.add_column("right", justify="right")
    table.add_column("most often taken for")
    for i, name in list(enumerate(names))[:most]:
        wrong = confusion[i].copy()
        wrong[i] = 0
        j, n = int(wrong.argmax()), int(confusion[i].sum())
        taken = f"{escape(names[j])} ({wrong[j] / n:.1%})" if wrong[j] else ""
        table.add_row(escape(name), f"{n:,}", f"{accuracy[i]:.1%}" if n else "", taken)
    console.print(table)


def _when(at: str) -> Moment | int:
    """Which weights `at` says; the end of the command where that is no word for any."""
    from bn_ablate.config.names import MOMENTS

    if at.isdecimal() and at.isascii():
        return int(at)
    if found := next((moment for moment in MOMENTS if at == moment), None):
        return found
    return fail(f"bn-ablate: --at: {at!r} is none of {', '.join(MOMENTS)} and the steps that were measured", 2)
