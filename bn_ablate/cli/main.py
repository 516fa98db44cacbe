"""The command line, `bn-ablate`: its commands, and what it ends with."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn

import tyro

from bn_ablate import __version__
from bn_ablate.cli import (
    atlas_commands,
    data_commands,
    first_commands,
    machine_commands,
    messages,
    results_commands,
    signals,
    study_commands,
    wandb_commands,
    weights_commands,
)
from bn_ablate.cli.arguments import fail

COMMANDS = {
    command.__name__.replace("__", " ").replace("_", "-"): command
    for command in (
        *(first_commands.init, first_commands.configs),
        *(study_commands.plan, study_commands.run, results_commands.report, results_commands.ls),
        *(results_commands.verify, results_commands.merge, results_commands.compare),
        *(results_commands.claims, results_commands.paper),
        *(atlas_commands.atlas, atlas_commands.replicate),
        *(weights_commands.weights, weights_commands.predictions),
        *(wandb_commands.sync, wandb_commands.fetch, wandb_commands.sweep_config, wandb_commands.wandb_report),
        *(data_commands.data, data_commands.data__import),
        *(machine_commands.cost, machine_commands.check_device),
    )
}
"""Name -> command, in the order in which one comes to need them."""
app = tyro.extras.SubcommandApp()
for name, command in COMMANDS.items():
    app.command(name=name)(command)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status: 2 for what the user wrote wrongly, 1 for what went wrong."""
    signals.stop_at_once()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name of a file may be no text; Python prints it to stderr only
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with messages.printing():
            words = sys.argv[1:] if argv is None else argv
            if (pair := " ".join(words[:2])) in COMMANDS and len(words) > 1:
                words = [pair, *words[2:]]  # a command of two words
            words = _axes_as_only(words) if words[:1] == ["run"] else words
            if words[:1] == ["--version"]:
                print(f"bn-ablate {__version__}")
                return 0
            if words and not words[0].startswith("-") and words[0] not in COMMANDS:
                from bn_ablate.config.errors import one_of

                fail(f"bn-ablate: {one_of(words[0], COMMANDS)}", 2)
            messages.check_environment()
            app.cli(prog="bn-ablate", description="Batch Normalization ablations in JAX.", args=words)
    except signals.Stopped as stopped:
        messages.say(f"\n{stopped}\n")
        return stopped.status
    except Exception as error:
        if (said := messages.sentence_of(error)) is None:
            raise
        status, sentence = said
        messages.say(f"bn-ablate: {sentence}\n" if sentence else "")
        return status
    return 0


def entry() -> NoReturn:
    """The command line, as a process: it ends with what `main` returns."""
    signals.leave(main())


def _axes_as_only(argv: Sequence[str]) -> list[str]:
    """The arguments of `run`, where `--placement=pre`, as a W&B agent writes it, stands for `--only placement=pre`."""
    from bn_ablate.config.factors import FACTORS

    said: list[str] = []
    for word in argv:
        axis, sign, _ = word.removeprefix("--").partition("=")
        is_axis = word.startswith("--") and sign and (axis in FACTORS or axis == "seed")
        said += ["--only", word.removeprefix("--")] if is_axis else [word]
    return said
