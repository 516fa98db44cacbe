"""The commands to begin with: the studies that come with the package, and a first one of one's own."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Annotated

import tyro

from bn_ablate.cli.arguments import Place, fail
from bn_ablate.cli.printed_commands import runnable


def init(
    file: Annotated[Place, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="the file to write, as my.toml")],
) -> None:
    """Write a short study with comments, which runs within a minute as it is, to make your own of."""
    import shlex

    name = re.sub(r"[^A-Za-z0-9_-]|^[^A-Za-z0-9]", "_", file.stem).lstrip("_-") or "study"
    text = files("bn_ablate.cli").joinpath("first_study.toml").read_text(encoding="utf-8")
    said = shlex.quote(str(file))
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text.replace("{file}", str(file)).replace("{name}", name))
    except FileExistsError:
        fail(f"bn-ablate init: {file} is there already, and stays as it is; choose another name", 2)
    print(f"{file}: a study of 48 small networks. Look at it, change it, and then:\n")
    print(runnable(f"    bn-ablate plan {said}    # what it amounts to; trains nothing"))
    print(runnable(f"    bn-ablate run {said}     # trains it, and writes the report"))


def configs() -> None:
    """List the studies that come with the package, each of which `plan` and `run` take by its name."""
    from rich.table import Table

    from bn_ablate.cli.console import escape, make_console
    from bn_ablate.config.shipped import SHIPPED, shipped
    from bn_ablate.config.study_files import read_table

    table = Table("name", "title", "file", box=None, pad_edge=False, header_style="dim")
    for name, file in shipped().items():
        title = escape(str(read_table(file).get("title", "")))
        table.add_row(f"[bold]{name}[/]", title, file.relative_to(SHIPPED).as_posix())
    make_console().print(table)
    print(runnable("\nbn-ablate plan NAME says what one amounts to, bn-ablate run NAME trains it."))
