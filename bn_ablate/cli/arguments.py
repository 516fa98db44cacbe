"""The arguments that several commands take, and how a command ends where one is wrong."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro

from bn_ablate.cli.printed_commands import runnable


def _place(words: list[str]) -> Path:
    from bn_ablate.config.given import place  # no sooner: what only helps does not wait for it

    return place(words[0])


_AS_PATH = tyro.constructors.PrimitiveConstructorSpec(
    nargs=1,
    metavar="PATH",
    instance_from_str=_place,
    is_instance=lambda given: given is None or isinstance(given, Path),
    str_from_instance=lambda path: [str(path)],
)
PlaceOrNone = Annotated[Path | None, _AS_PATH]
Place = Annotated[Path, _AS_PATH]
"""A path, in which `~` is expanded: shells leave it as it is in `--results=~/out`."""

Config = Annotated[
    Place,
    tyro.conf.Positional,
    tyro.conf.arg(metavar="CONFIG", help="a study: a TOML file, or the name of one that `bn-ablate configs` lists"),
]
Folder = Annotated[
    Place, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help="a results folder, as results/ablate")
]
ResultsRoot = Annotated[
    Place, tyro.conf.arg(help="the folder of all results; a study's are in a folder of its own there")
]
Overrides = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(name="set", metavar="KEY=VALUE", help="set a key of the study, as train.steps=500; may be repeated"),
]
Extensions = Annotated[
    tyro.conf.UseAppendAction[tuple[Place, ...]],
    tyro.conf.arg(name="extension", metavar="FILE", help="a Python file of your own parts; may be repeated"),
]
Only = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        metavar="AXIS=LEVEL,…",
        help="these lanes alone, as placement=pre,activation=sigmoid,seed=3; an axis that comes again adds a level",
    ),
]
Portion = Annotated[
    str | None,
    tyro.conf.arg(
        help_behavior_hint="",
        metavar="I/N",
        help="part I of N alone, into a folder of its own; `bn-ablate merge` puts them together",
    ),
]
On = Annotated[
    Literal["here", "ray"], tyro.conf.arg(help="who trains: this process on its devices, or a cluster of Ray")
]
Address = Annotated[
    str | None,
    tyro.conf.arg(
        help_behavior_hint="",
        metavar="HOST:PORT",
        help="the cluster to join; RAY_ADDRESS, or one on this machine alone",
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "tpu"], tyro.conf.arg(help="where to train")]
Memory = Annotated[
    float | None,
    tyro.conf.arg(
        help_behavior_hint="", metavar="GIB", help="GiB that training may take; half of what there is when not given"
    ),
]
Strategy = Annotated[
    Literal["auto", "vmap", "map"],
    tyro.conf.arg(help="lanes all at once (vmap) or in turn (map); auto: map on CPU, else vmap"),
]
AtOnce = Annotated[
    int | None,
    tyro.conf.arg(
        help_behavior_hint="", metavar="N", help="lanes that map takes together on a device; 1 when not given"
    ),
]


def how_to_train(strategy: str, at_once: int | None, memory: float | None) -> dict[str, Any]:
    """The arguments of `bn_ablate.run` for those of the command line; its end where they cannot be."""
    if memory is not None and not 0 < memory * 2**30 < math.inf:
        fail(f"bn-ablate: --memory: {memory} is no number of GiB above 0", 2)
    if at_once is not None and at_once < 1:
        fail(f"bn-ablate: --at-once: {at_once} is no number of lanes; 1 or more", 2)
    return {"strategy": strategy, "at_once": at_once, "memory": None if memory is None else int(memory * 2**30)}


def load(extensions: tuple[Path, ...]) -> None:
    """Run the files of a user's own parts, so that their names are known."""
    from bn_ablate.config import load_extension

    for file in extensions:
        load_extension(file)


def fail(message: str, status: int) -> NoReturn:
    """Say `message` on standard error; end with `status`, 2 for what the user wrote wrongly, 1 for what went wrong."""
    from bn_ablate.config.errors import printable

    sys.stderr.write(runnable(printable(message, keep="\n")) + "\n")
    raise SystemExit(status)
