"""The commands about data sets: those that are known, and one's own, imported."""

from __future__ import annotations

import re
from typing import Annotated

import tyro

from bn_ablate.cli.arguments import Place, PlaceOrNone, fail


def data(
    name: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(help_behavior_hint="", metavar="NAME", help="the data set to prepare; none: list them"),
    ] = None,
    manual_dir: Annotated[
        PlaceOrNone,
        tyro.conf.arg(help_behavior_hint="", help="a folder that holds its files, where there is no network"),
    ] = None,
) -> None:
    """Prepare a data set for use, or list those that are known; `data import` makes one of files of yours."""
    from bn_ablate.data import prepare

    if name is None:
        _list()
    else:
        print(f"{name}: prepared in {prepare(name, manual_dir=manual_dir)}")


def data__import(
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME", help="what studies are to call it")],
    path: Annotated[
        Place,
        tyro.conf.Positional,
        tyro.conf.arg(
            help="class folders of images, or a .zip of them; a .npz file of x and y; a table (.csv, .tsv, .parquet); "
            "or a folder that Hugging Face's datasets has saved"
        ),
    ],
    label: Annotated[
        str | None,
        tyro.conf.arg(help_behavior_hint="", metavar="COLUMN", help="the column of a table that holds the classes"),
    ] = None,
    drop: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="COLUMN", help="a column of a table to leave out; may be repeated"),
    ] = (),
    resize: Annotated[
        str | None,
        tyro.conf.arg(
            help_behavior_hint="", metavar="HEIGHTxWIDTH", help="a size to bring all images to, as 32x32 or 32"
        ),
    ] = None,
    overwrite: Annotated[
        bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="replace an import of that name")
    ] = False,
) -> None:
    """Make a data set of images, arrays or a table, which studies then use by its name."""
    from bn_ablate.cli.console import count, escape, make_console
    from bn_ablate.cli.progress_bar import count_progress
    from bn_ablate.data.imports import import_data

    console = make_console()
    with count_progress(console) as progress:
        made = import_data(
            name,
            path,
            label=label,
            drop=drop,
            resize=_size(resize) if resize else None,
            overwrite=overwrite,
            progress=progress,
        )
    for remark in made.remarks:
        console.print(f"note: {escape(remark)}", style="yellow", soft_wrap=True)
    data, n = made.dataset, len(made.classes)
    sizes = _examples((data.n_official_train, len(data.labels) - data.n_official_train))
    shown = f"{', '.join(made.classes[:10])}{', …' if n > 10 else ''}"
    said = f"{name}: {sizes} examples of {_shape(data.images.shape[1:])}, {count(n, 'class', 'classes')} ({shown})"
    console.print(escape(said), soft_wrap=True)
    console.print(escape(f"imported into {made.folder}, SHA-256 {data.sha256}"), soft_wrap=True)
    console.print(f"a study uses it as data.name: bn-ablate run CONFIG --set data.name={name}", soft_wrap=True)


def _size(text: str) -> tuple[int, int]:
    """Height and width; the end of the command where that is no size."""
    if not (found := re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text)):
        fail(f"bn-ablate: --resize: {text!r} is no size; HEIGHTxWIDTH in pixels is, as 32x32, or 32 for both", 2)
    return int(found[1]), int(found[2] or found[1])


def _list() -> None:
    """Print a line for each data set that can be used, with its size and source, and why others cannot be."""
    from bn_ablate.config.errors import printable
    from bn_ablate.data import catalog
    from bn_ablate.data.imports import imported_from

    known = catalog()
    rows = [("data set", "examples", "each", "classes", "")]
    for name, (said, folder) in known.items():
        source = folder and imported_from(folder)
        state = f"imported from {source}" if source else f"in {folder}" if folder else "prepared when first used"
        rows += [(name, _examples(said.sizes), _shape(said.image), f"{said.classes:,}", state)] * (not said.refusal)
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    for row in rows:
        print(printable("".join(map(str.ljust, row, widths)).rstrip()))
    if refused := {name: of.refusal for name, of in known.items() if of.refusal}:
        print("\nprepared on this machine, but not to be used:")
    for name, reason in refused.items():
        print(printable(f"{name}: {reason}"))


def _examples(sizes: tuple[int, ...]) -> str:
    return " + ".join(f"{n:,}" for n in sizes if n)


def _shape(image: tuple[int | None, ...]) -> str:
    """A shape as it is said; a vector is kept as an image of one pixel."""
    if len(image) == 1 or image[:2] == (1, 1):
        return f"{image[-1]:,} numbers"
    return " × ".join("?" if n is None else str(n) for n in image)
